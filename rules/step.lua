-- A step: a Lua file of the rules that turns declared inputs into declared outputs, run by spak-lua.

local function words(flag, map, out, files)
  for name, value in pairs(map) do
    out[#out + 1] = flag
    out[#out + 1] = name .. "=" .. tostring(value)
    files[#files + 1] = value
  end
end

-- A group's members are told apart by a number; the step sees them as one list.
local function grouped(groups, out, files)
  for name, list in pairs(groups) do
    for i, file in ipairs(list) do
      out[#out + 1] = "--in"
      out[#out + 1] = ("%s:%d=%s"):format(name, i, tostring(file))
      files[#files + 1] = file
    end
  end
end

local function make(arg)
  local script = rule_file(arg.script)
  local run, inputs, outputs = { "spak-lua", script }, { script }, {}
  for _, module in ipairs(arg.modules) do
    inputs[#inputs + 1] = rule_file(module)
  end
  words("--in", arg.inputs, run, inputs)
  grouped(arg.groups, run, inputs)
  words("--out", arg.outputs, run, outputs)
  words("--arg", arg.args, run, {})
  return node {
    name = arg.name, kind = arg.kind, doc = arg.doc, outputs = outputs, inputs = inputs, run = run, phase = arg.phase, after = arg.after,
  }
end

return {
  name = "step",
  doc = "Runs a Lua step of a rule (rules/step) in a closed environment: inputs and outputs by name, nothing else. Other rules use it.",
  shape = {
    named = true,
    name = { type = "string", doc = "the node's name" },
    kind = { type = "string", default = "step", doc = "the word for what the node is" },
    script = { type = "string", required = true, doc = "the step, as it is found among the rules: step/report.lua" },
    modules = { type = "strings", default = {}, doc = "what the step includes, likewise" },
    inputs = { type = "table", default = {}, doc = "name to file" },
    groups = { type = "table", default = {}, doc = "name to a list of files, which the step sees as one list" },
    outputs = { type = "table", required = true, doc = "name to file" },
    args = { type = "table", default = {}, doc = "name to text" },
    phase = { type = "string", one_of = { "outer", "inner" }, doc = "planning or execution" },
    after = { type = "nodes", doc = "nodes that are done before" },
    doc = { type = "string", doc = "what it is for" },
  },
  make = make,
}
