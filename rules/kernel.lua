-- A kernel: one candidate, compiled alone: C for a CPU, CUDA for a GPU.
use "cc" "cubin"

local function check_freedoms(arg)
  local guide = arg.guide and shared "guides"[arg.guide]
  if arg.guide and not guide then
    fail(("no guide is called \"%s\""):format(arg.guide), { code = "unknown_name", word = arg.guide, hint = "declare the guide before its kernels" })
  end
  for name in pairs(arg.set) do
    if not guide or guide.freedoms[name] == nil then
      fail(("the guide leaves no freedom called \"%s\""):format(name), { word = name,
        hint = "a value may be set for a freedom that the guide names" })
    end
  end
end

-- What the variant sets, and what its op decides for all of them.
local function with_op(set, decided)
  local all = {}
  for _, values in ipairs { decided, set } do
    for name, value in pairs(values) do
      all[name] = value
    end
  end
  return all
end

-- A C source becomes a shared object, a CUDA source a cubin with a text of its instructions.
local function compile(arg)
  if path.ext(arg.source) == ".cu" then
    local object = ("out/kernel/%s.cubin"):format(arg.name)
    local made = cubin { object, source = arg.source, headers = { "kernels/device" }, set = arg.set, spills = arg.spills, doc = arg.doc }
    return object, made and ("out/kernel/%s.instructions"):format(arg.name)
  end
  local object, defines = ("out/kernel/%s.so"):format(arg.name), {}
  for name, value in pairs(arg.set) do
    defines[#defines + 1] = ("%s=%s"):format(name:upper(), value)
  end
  cc {
    object,
    kind = "shared",
    doc = arg.doc,
    sources = arg.source,
    headers = { path.dir(arg.source), "kernels/host" },
    flags = { "-O3" },
    confined = true,
    defines = defines,
    libs = arg.libs,
  }
  return object
end

-- One kernel that is the best of several on every shape: each launch runs the object of the variant that is chosen for its shape.
local function choose(arg, list)
  if #arg.among == 0 then
    fail("`chooses` needs the variants it may choose, `among`", { field = "chooses", hint = 'among = { "wide", "small" }' })
  end
  local objects, offered = {}, {}
  for i, name in ipairs(arg.among) do
    offered[name] = true
    if not list[name] or not list[name].launch then
      fail(("no variant that is launched is called \"%s\""):format(name), { code = "unknown_name", word = name, hint = "declare a variant before who chooses it" })
    end
    objects[i] = list[name].object
  end
  local function launch(shape)
    local name = arg.chooses(shape)
    local variant = name and list[name]
    if not name then
      return nil
    elseif not offered[name] then
      fail(("%s chooses \"%s\", which is not in its `among`"):format(arg.name, tostring(name)), { code = "unknown_name", word = name })
    end
    local plan = variant.launch(shape, variant.set)
    if plan then
      plan.object, plan.entry = variant.object, variant.entry
    end
    return plan
  end
  return launch, objects
end

local function make(arg)
  local study, short = arg.name:match "^([^/]+)/([^/]+)$"
  if not study or not shared "ops"[study] then
    fail(("\"%s\" does not begin with the name of an op"):format(arg.name), { word = arg.name, hint = "call it OP/VARIANT, and declare the op before" })
  end
  arg.set = arg.source and with_op(arg.set, shared "ops"[study].set) or arg.set
  check_freedoms(arg)
  local list, object, instructions = shared "kernels"[study], nil, nil
  if arg.source then
    object, instructions = compile(arg)
  elseif arg.same_as then
    object = list[arg.same_as].object
  end
  local entry = {
    name = short, object = object, threads = arg.threads, library = arg.library or arg.calls ~= nil, library_name = arg.calls, doc = arg.doc,
    entry = arg.entry, launch = arg.launch, set = arg.set, instructions = instructions,
  }
  if arg.chooses then
    entry.launch, entry.objects = choose(arg, list)
    entry.object = entry.objects[1]
  end
  list[#list + 1] = entry
  list[short] = entry
end

return {
  name = "kernel",
  doc = "A candidate: one source, compiled alone. In C it exports `candidate`, as in the example; in CUDA it is device code, and `launch` says how "
    .. "it is started on a shape. It owns no buffer, no timer and no stream. Its name is OP/VARIANT.",
  shape = {
    named = true,
    name = { type = "string", doc = "OP/VARIANT" },
    source = { type = "path", doc = "the source, .c or .cu; it may include headers of its own folder, and of kernels/host (C) or kernels/device (CUDA)" },
    calls = { type = "string", doc = "instead of a source: a library call that the runner knows (cublas_gemm, cudnn_sdpa), a baseline" },
    entry = { type = "string", doc = "the name of a CUDA kernel's entry" },
    launch = { type = "function", doc = "shape and values to { grid, block, cluster, smem, args }, or nothing where it does not run" },
    spills = { type = "boolean", default = false, doc = "spilled registers are no error" },
    chooses = { type = "function", doc = "instead of a source: shape to the name of the variant that runs it, or nothing; its object and its launch are taken" },
    among = { type = "strings", default = {}, doc = "the variants that `chooses` may name" },
    same_as = { type = "string", doc = "instead of a source: the variant whose object it shares, with other threads" },
    guide = { type = "string", doc = "the guide it follows" },
    threads = { type = "integer", default = 1, doc = "how many threads it may use" },
    set = { type = "table", default = {}, doc = "values for freedoms that the guide names; each becomes a macro" },
    libs = { type = "strings", default = { "m", "pthread" }, doc = "libraries it is linked with" },
    library = { type = "boolean", default = false, doc = "it only calls a library: a baseline, never a candidate; no other kernel finds the machine's libraries" },
    doc = { type = "string", doc = "what it changes; without it, the prose above" },
  },
  example = [[
use "kernel"

node { "out/example/naive.c", write = [=[
#include <stdint.h>
int candidate(const int64_t *dim, void *const *buf, int threads)
{
    const float *x = buf[0];
    float *volatile y = buf[1];
    (void)threads;
    for (int64_t i = 0; i < dim[0]; i++)
        y[i] = x[i];
    for (int64_t i = 0; i < dim[0]; i++)
        y[i] += x[i];
    return 0;
}
]=] }
node { "out/example/fused.c", write = [=[
#include <stdint.h>
int candidate(const int64_t *dim, void *const *buf, int threads)
{
    const float *x = buf[0];
    float *y = buf[1];
    (void)threads;
    for (int64_t i = 0; i < dim[0]; i++)
        y[i] = 2 * x[i];
    return 0;
}
]=] }
kernel "example/naive" { source = "out/example/naive.c", guide = "example" }
kernel "example/fused" { source = "out/example/fused.c", guide = "example", set = { unroll = 4 } }
]],
  make = make,
}
