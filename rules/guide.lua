-- A guide: what planning hands to execution. Intent and freedoms, generated from the study, the same for every device.
use "step"

-- What the guide's hypotheses rest on, each once, in order.
local function laws_of(hypotheses)
  local laws, seen = {}, {}
  for _, name in ipairs(hypotheses) do
    for _, law in ipairs(shared "hypotheses"[name].rests_on) do
      if not seen[law] then
        seen[law] = true
        laws[#laws + 1] = law
      end
    end
  end
  return laws
end

local function known_hypotheses(names)
  for _, name in ipairs(names) do
    if not shared "hypotheses"[name] then
      fail(("no hypothesis is called \"%s\""):format(name), { code = "unknown_name", word = name,
        hint = "declare a hypothesis before the guide that comes from it" })
    end
  end
end

local function make(arg)
  known_hypotheses(arg.from)
  local laws, proofs, hypotheses = laws_of(arg.from), {}, {}
  for i, law in ipairs(laws) do
    proofs[i] = shared "invariants"[law].proof
  end
  for i, name in ipairs(arg.from) do
    hypotheses[i] = shared "hypotheses"[name].file
  end
  local stem = "out/guide/" .. arg.name
  local spec = node {
    stem .. ".spec.json",
    name = ("guide/%s/spec"):format(arg.name),
    kind = "specification",
    phase = "outer",
    write = json.pretty {
      name = arg.name, intent = arg.intent, dataflow = json.array(arg.dataflow), algebra = json.array(arg.algebra), placement = arg.placement,
      synchronisation = arg.synchronisation, freedoms = arg.freedoms, forbidden = json.array(arg.forbidden), success = json.array(arg.success),
    },
  }
  local made = step("guide/" .. arg.name) {
    kind = "guide", doc = arg.intent, phase = "outer",
    script = "step/guide.lua",
    inputs = { spec = stem .. ".spec.json" },
    groups = { proof = proofs, hypothesis = hypotheses },
    outputs = { markdown = traced(stem .. ".md"), json = traced(stem .. ".json") },
    after = { spec },
  }
  shared "guides"[arg.name] = { file = stem .. ".md", proofs = proofs, freedoms = arg.freedoms, hypotheses = arg.from, node = made }
  return made
end

local text = { type = "string" }
local texts = { type = "strings", default = {} }

local function with(base, doc, required)
  return { type = base.type, default = base.default, required = required, doc = doc }
end

return {
  name = "guide",
  doc = "The instruction guide of a study: intent, structure, laws, and the freedoms that are left by name. Generated as Markdown and JSON from the study's "
    .. "own words, with the digests of the proofs it rests on. The engine refuses one that holds a value, the name of an architecture, or code.",
  shape = {
    named = true,
    name = with(text, "its name: the study's"),
    from = with(texts, "the hypotheses whose choices it makes"),
    intent = with(text, "what is to be achieved", true),
    dataflow = with(texts, "what flows where, and where fusion begins and ends"),
    algebra = with(texts, "the state that is carried and the laws it obeys"),
    placement = { type = "map", default = {}, doc = "name of a thing to the class of memory it lives in" },
    synchronisation = with(text, "who waits for whom"),
    freedoms = { type = "map", default = {}, doc = "name of a freedom to what it means; values belong to a kernel" },
    forbidden = with(texts, "what no candidate may do"),
    success = with(texts, "when the work is done"),
  },
  example = [[
use "guide"

guide "example" {
  from = "example/fused",
  intent = "double every number in one pass over the data",
  dataflow = "what is read is written at once, doubled",
  placement = { numbers = "registers" },
  freedoms = { unroll = "how many numbers are on their way at once" },
  forbidden = "state that outlives a call",
  success = "the prediction of the hypothesis is judged on fresh samples",
}
]],
  make = make,
}
