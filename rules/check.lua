-- A check: every kernel of a study against the reference, over shapes and distributions. A wrong kernel is rejected, however fast.
local spec = include(rule_file "lib/spec.lua")

local function check_kernel(op, shapes, kernel, timeout)
  local stem = ("out/check/%s/%s"):format(op.name, kernel.name)
  local text = spec.make(op, shapes, {
    kernels = { spec.entry(kernel, shapes) },
    seed = 20250101, timeout_s = timeout,
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
    inputs = { stem .. ".spec.json", kernel.object, op.reference },
    env = variables,
    reads = folders,
    phase = "inner",
    soft_fail = true,
    device = op.device == "gpu",
  }
  kernel.check = stem .. ".json"
end

local function make(arg)
  local op = spec.op(arg.name)
  for _, kernel in ipairs(shared "kernels"[arg.name]) do
    if kernel.object then
      check_kernel(op, arg.shapes, kernel, arg.timeout)
    end
  end
end

return {
  name = "check",
  doc = "Checks every kernel declared so far for a study, in a child process that holds nothing of the checker: fresh inputs of four distributions, poisoned "
    .. "outputs, each element against the reference. The nodes are called check/OP/VARIANT.",
  shape = {
    named = true,
    name = { type = "string", doc = "the op" },
    shapes = { type = "list", required = true, doc = "{ \"name\", B = 1, ... }; exact = true: whole numbers must come out exactly" },
    timeout = { type = "number", default = 60, doc = "seconds a launch may take" },
  },
  example = [[
use "check"

check "example" { shapes = { { "one", n = 1, exact = true }, { "odd", n = 4099 } } }
]],
  make = make,
}
