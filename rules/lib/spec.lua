-- The specification that spak-cpu reads: the part that checks and benches share.
local spec = {}

-- A shape as the study wrote it, { "name", B = 1, ... }, with everything that is computed from it.
function spec.shape(op, given)
  local values, elements = {}, {}
  for i, dim in ipairs(op.dims) do
    if math.type(given[dim]) ~= "integer" then
      fail(("the shape \"%s\" of %s needs a whole number for `%s`"):format(tostring(given[1]), op.name, dim), { word = given[1] })
    end
    values[i] = given[dim]
  end
  for i, buffer in ipairs(op.buffers) do
    elements[i] = math.tointeger(buffer[3](given))
  end
  return {
    name = given[1], dims = values, elements = elements, flops = op.flops(given) + 0.0, bytes = op.bytes(given) + 0.0, exact = given.exact or false,
    without = json.array(given.without or {}),
  }
end

function spec.op(name)
  local op = shared "ops"[name]
  if not op then
    fail(("no op is called \"%s\""):format(name), { code = "unknown_name", word = name, hint = "declare it with op \"" .. name .. "\" { ... } before" })
  end
  return op
end

function spec.kernel(study, name)
  local kernel = shared "kernels"[study][name]
  if not kernel then
    fail(("%s has no kernel called \"%s\""):format(study, name), { code = "unknown_name", word = name, hint = "declare a kernel before it is measured" })
  end
  return kernel
end

-- Where a GPU's libraries lie that the system's loader does not know, newest first: -D gpu_libraries=/a:/b.
local libraries = param("gpu_libraries", (env "CUDA_HOME" or "/usr/local/cuda") .. "/lib64")

-- What a node that runs on a device needs beside its inputs.
function spec.surroundings(op)
  if op.device ~= "gpu" then
    return {}, {}
  end
  local folders = {}
  for folder in libraries:gmatch "[^:]+" do
    folders[#folders + 1] = folder
  end
  return { LD_LIBRARY_PATH = libraries }, folders
end

-- The program that checks and times the candidates of an op.
function spec.runner(op)
  return op.device == "gpu" and "spak-gpu" or "spak-cpu"
end

local function launches(kernel, shapes)
  local out = {}
  for i, shape in ipairs(shapes) do
    out[i] = kernel.launch(shape, kernel.set) or false
  end
  return out
end

-- What the runner has to know of a kernel: its object, and on a GPU how it is launched on each shape (false: not at all), hidden ones too.
function spec.entry(op, kernel, shapes)
  local out = { name = kernel.name, object = kernel.object, threads = kernel.threads, library = kernel.library_name }
  out.loads_libraries = kernel.library and not kernel.library_name or nil
  if kernel.launch then
    out.entry, out.launch = kernel.entry, launches(kernel, shapes)
    out.hidden_launch = op.hidden and launches(kernel, op.hidden)
  end
  return out
end

-- The op without its hidden shapes: for who watches a few launches and judges nothing.
function spec.plain(op)
  local out = {}
  for key, value in pairs(op) do
    out[key] = value
  end
  out.hidden = nil
  return out
end

-- The common part; `more` is added to it.
function spec.make(op, shapes, more)
  local buffers, list = {}, {}
  for i, buffer in ipairs(op.buffers) do
    buffers[i] = { name = buffer[1], role = buffer[2], dtype = buffer[4] or "f32" }
  end
  for i, shape in ipairs(shapes) do
    list[i] = spec.shape(op, shape)
  end
  local hidden = {}
  for i, shape in ipairs(op.hidden or {}) do
    hidden[i] = spec.shape(op, shape)
  end
  if #hidden > 0 then
    more.hidden, more.hidden_drawn = hidden, op.hidden_drawn
  end
  more.op, more.buffers, more.shapes, more.reference, more.bound = op.name, buffers, list, op.reference, op.bound
  return more
end

return spec
