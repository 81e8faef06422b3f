-- A hypothesis: why a design should win, what it rests on, and by how much it will. Stated before anything is measured.
local predict = include(rule_file "step/predict.lua")
local allow = include(rule_file "lib/allow.lua")

local rungs = { "ASSERTED", "STATISTICAL", "METAMORPHIC", "PROPERTY", "PROVED" }

-- "fmha/merge: PROVED" is a law and the rung it has to stand on.
local function laws(list)
  local names, needs = {}, {}
  for i, text in ipairs(list) do
    local name, rung = text:match "^(.-)%s*:%s*(%u+)$"
    names[i] = name or text
    if rung and not (" " .. table.concat(rungs, " ") .. " "):find(" " .. rung .. " ", 1, true) then
      fail(("`%s` is no rung"):format(rung), { word = rung, hint = "the rungs are " .. table.concat(rungs, ", ") .. ", the strongest last" })
    end
    needs[names[i]] = rung
  end
  return names, needs
end

local function make(arg)
  local rests_on, needs = laws(arg.rests_on)
  local parsed, wrong = predict.parse(arg.predicts)
  if not parsed then
    fail(("`%s` is no prediction: %s"):format(arg.predicts, wrong), { field = "predicts" })
  end
  for _, law in ipairs(rests_on) do
    if not shared "invariants"[law] then
      fail(("no invariant is called \"%s\""):format(law), { code = "unknown_name", word = law,
        hint = "declare an invariant before the hypotheses that rest on it" })
    end
  end
  local file = ("out/hypothesis/%s.json"):format(arg.name)
  local entry = { name = arg.name, because = arg.because, rests_on = json.array(rests_on), needs = needs, predicts = arg.predicts, doc = arg.doc, allow = allow(arg.allow) }
  local made = node {
    traced(file), name = "hypothesis/" .. arg.name, kind = "hypothesis", doc = arg.doc or arg.because, write = json.pretty(entry), phase = "outer",
  }
  entry.file = file
  shared "hypotheses"[arg.name] = entry
  return made
end

return {
  name = "hypothesis",
  doc = "Why a design should win, the invariants it rests on, and a prediction that a measurement can falsify. Makes a small JSON file; the node is "
    .. "called hypothesis/NAME.",
  shape = {
    named = true,
    name = { type = "string", doc = "its name: STUDY/NAME" },
    because = { type = "string", required = true, doc = "the reason" },
    rests_on = { type = "strings", default = {}, doc = "names of invariants; \"name: PROVED\" asks for the rung that its proof has to stand on" },
    predicts = { type = "string", required = true, doc = "speedup(a, b) >= 5, speedup(a, b, shape) >= 5, gflops(a) >= 100" },
    allow = { type = "table", doc = "what its measurements may take together: { tries =, wall =, cpu =, device = }, seconds where it is time; "
      .. "`spak status` tells what is spent, and the notes of the traces keep it when out/ is removed" },
    doc = { type = "string", doc = "more about it; without it, the prose above" },
  },
  example = [[
use "hypothesis"

hypothesis "example/fused" {
  because = "two passes write every number and read it again; one pass does neither",
  rests_on = "example/doubling",
  predicts = "speedup(fused, naive) >= 1.5",
}
]],
  make = make,
}
