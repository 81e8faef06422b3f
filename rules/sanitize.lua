-- Every variant of a study on a GPU under compute-sanitizer: memory, races in shared memory, barriers.
local spec = include(rule_file "lib/spec.lua")

local home = env "CUDA_HOME" or "/usr/local/cuda"
local sanitizer = tool {
  name = "compute-sanitizer", find = { "compute-sanitizer", home .. "/bin/compute-sanitizer", home .. "/compute-sanitizer/compute-sanitizer" },
  version = { "--version" }, optional = true,
}

local function watched(op, kernel, how, arg)
  local stem = ("out/sanitize/%s/%s.%s"):format(op.name, kernel.name, how)
  local few = spec.plain(op)
  local text = spec.make(few, arg.shapes, { kernels = { spec.entry(few, kernel, arg.shapes) }, timeout_s = arg.timeout })
  node { stem .. ".spec.json", kind = "specification", write = json.pretty(text) }
  local runner, variables, folders = tool(spec.runner(op)), spec.surroundings(op)
  return node {
    traced(stem .. ".txt"),
    name = ("sanitize/%s/%s/%s"):format(op.name, kernel.name, how),
    kind = "sanitize",
    doc = ("%s under compute-sanitizer's %s"):format(kernel.name, how),
    run = {
      sanitizer.path, "--tool", how, "--target-processes", "all", "--error-exitcode", "9", "--log-file", stem .. ".txt",
      runner.path or runner.from, "check", stem .. ".spec.json", "--out", "${tmp}/result.json",
    },
    inputs = { stem .. ".spec.json", kernel.objects or kernel.object, op.reference },
    tools = { spec.runner(op) },
    env = variables,
    reads = { folders, home },
    phase = "inner",
    timeout = arg.timeout,
    device = true,
    sandbox = false, -- it looks into the processes that it watches
  }
end

local function make(arg)
  local op, nodes = spec.op(arg.name), {}
  for _, name in ipairs(sanitizer and arg.kernels or {}) do
    for _, how in ipairs(arg.tools) do
      nodes[#nodes + 1] = watched(op, spec.kernel(arg.name, name), how, arg)
    end
  end
  return node { name = "sanitize/" .. arg.name, kind = "sanitize", doc = "the variants of " .. arg.name .. " under compute-sanitizer", after = nodes }
end

return {
  name = "sanitize",
  doc = "Runs the check of every variant under compute-sanitizer: memcheck, racecheck and synccheck. What it said is kept. Where there is no compute-sanitizer there is "
    .. "nothing to run, where there is no device the nodes wait for one. The node that stands for all is called sanitize/OP.",
  shape = {
    named = true,
    name = { type = "string", doc = "the op, on a GPU" },
    kernels = { type = "strings", required = true, doc = "the variants" },
    shapes = { type = "list", required = true, doc = "few and small: a watched launch takes a thousand times as long" },
    tools = { type = "strings", default = { "memcheck", "racecheck", "synccheck" }, doc = "which of its tools" },
    timeout = { type = "number", default = 300, doc = "seconds for one variant and tool" },
  },
  example = [[
use "sanitize"

sanitize "example" { kernels = {}, shapes = {} }
]],
  make = make,
}
