-- A check: every kernel of a study against the reference, over shapes and distributions. A wrong kernel is rejected, however fast.
local spec = include(rule_file "lib/spec.lua")

local function check_kernel(op, shapes, kernel, timeout)
  local stem = ("out/check/%s/%s"):format(op.name, kernel.name)
  local text = spec.make(op, shapes, {
    kernels = { spec.entry(op, kernel, shapes) }, timeout_s = timeout,
  })
  node {
    stem .. ".spec.json", name = ("check/%s/%s/spec"):format(op.name, kernel.name), kind = "specification", write = json.pretty(text),
  }
  local variables, folders = spec.surroundings(op)
  node {
    traced(stem .. ".json"),
    name = ("check/%s/%s"):format(op.name, kernel.name),
    kind = "check",
    doc = ("%s against the reference of %s"):format(kernel.name, op.name),
    run = { spec.runner(op), "check", stem .. ".spec.json", "--out", stem .. ".json" },
    inputs = { stem .. ".spec.json", kernel.objects or kernel.object, op.reference },
    order_only = { op.admission, kernel.instructions },
    env = variables,
    reads = folders,
    phase = "inner",
    soft_fail = true,
    device = op.device == "gpu",
  }
  kernel.check = stem .. ".json"
end

-- Whole numbers in a range; the same in every evaluation.
local function picker()
  local state = 20250101
  return function(low, high)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return low + (state >> 33) % (high - low + 1)
  end
end

-- More shapes than are ever tried: which of them a candidate meets follows from the candidate, or is drawn when it is timed.
local function hidden_pool(op, arg)
  if not arg.hidden then
    return
  end
  local pick = picker()
  op.hidden, op.hidden_drawn = {}, arg.drawn
  for i = 1, 12 * arg.drawn do
    op.hidden[i] = arg.hidden(pick)
    op.hidden[i][1] = ("hidden-%d"):format(i)
  end
end

-- The study itself is tried before any candidate is: what is wrong on purpose has to fail, and every input has to matter.
local function admit(op, arg)
  local stem = "out/admission/" .. op.name
  node {
    stem .. ".spec.json", name = ("admission/%s/spec"):format(op.name), kind = "specification",
    write = json.pretty(spec.make(op, arg.shapes, { kernels = json.array(op.wrong), timeout_s = arg.timeout })),
  }
  local objects = { op.reference }
  for _, wrong in ipairs(op.wrong) do
    objects[#objects + 1] = wrong.object
  end
  op.admission = stem .. ".json"
  node {
    traced(op.admission), name = "admission/" .. op.name, kind = "admission",
    doc = ("%s: what is wrong on purpose fails its check, and every input matters"):format(op.name),
    run = { spec.runner(op), "admit", stem .. ".spec.json", "--out", op.admission },
    inputs = { stem .. ".spec.json", objects },
    phase = op.device == "cpu" and "outer" or nil, -- what needs a device is no planning
    device = op.device == "gpu",
  }
end

local function make(arg)
  local op = spec.op(arg.name)
  hidden_pool(op, arg)
  admit(op, arg)
  local kernels = {}
  for i, name in ipairs(arg.kernels) do
    kernels[i] = spec.kernel(arg.name, name)
  end
  for _, kernel in ipairs(#kernels > 0 and kernels or shared "kernels"[arg.name]) do
    if kernel.object then
      check_kernel(op, arg.shapes, kernel, arg.timeout)
    end
  end
end

return {
  name = "check",
  doc = "Checks the kernels of a study, in a child process that holds nothing of the checker: fresh inputs of four distributions, poisoned "
    .. "outputs, each element against the reference. The nodes are called check/OP/VARIANT. Before that the study itself is tried (admission/OP): kernels that do "
    .. "nothing, write zeros, a constant, a copy, half or old results, and references without one operation must fail, and every input must matter.",
  shape = {
    named = true,
    name = { type = "string", doc = "the op" },
    shapes = { type = "list", required = true, doc = "{ \"name\", B = 1, ... }; exact = true: whole numbers must come out exactly" },
    hidden = { type = "function", doc = "pick (a function of the lowest and the highest whole number) to a shape: what is tried beside the declared ones" },
    drawn = { type = "integer", default = 2, doc = "how many hidden shapes a candidate meets" },
    kernels = { type = "strings", default = {}, doc = "the variants to check; without it, every one that is declared so far" },
    timeout = { type = "number", default = 60, doc = "seconds a launch may take" },
  },
  example = [[
use "check"

check "example" { shapes = { { "one", n = 1, exact = true }, { "odd", n = 4099 } } }
]],
  make = make,
}
