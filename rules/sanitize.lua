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
  node {
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
    soft_fail = true, -- the verdict names all who failed
    sandbox = false, -- it looks into the processes that it watches
  }
  return stem .. ".txt"
end

-- Why nothing can be watched here, or nothing.
local function missing()
  return not fact "gpu.0.name" and "no device" or not sanitizer and "no compute-sanitizer" or nil
end

local function make(arg)
  local op, verdict = spec.op(arg.name), ("out/sanitize/%s.txt"):format(arg.name)
  local name, doc, why = "sanitize/" .. arg.name, "the variants of " .. arg.name .. " under compute-sanitizer", missing()
  if why then
    return node { traced(verdict), name = name, kind = "sanitize", doc = doc, write = ("skipped: %s\n"):format(why) }
  end
  local logs, script = {}, rule_file "step/sanitize.sh"
  for _, kernel in ipairs(arg.kernels) do
    for _, how in ipairs(arg.tools) do
      logs[#logs + 1] = watched(op, spec.kernel(arg.name, kernel), how, arg)
    end
  end
  return node {
    traced(verdict), name = name, kind = "sanitize", doc = doc, inputs = { script, logs }, run = { "sh", script, verdict, logs }, tools = { "awk" },
  }
end

return {
  name = "sanitize",
  doc = "Runs the check of every variant under compute-sanitizer: memcheck, racecheck and synccheck. What each said is kept, and a line for each is the verdict in "
    .. "out/sanitize/OP.txt; who finds anything fails it. Where there is no device or no compute-sanitizer, the verdict says that it was skipped. The node is called sanitize/OP.",
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
