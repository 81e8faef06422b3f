-- A bench: kernels and baselines timed side by side. It needs the token of the study's guide and of the proofs that the guide rests on.
use "step"
local spec = include(rule_file "lib/spec.lua")
local allow = include(rule_file "lib/allow.lua")

local function contenders(arg)
  local list = {}
  for i, name in ipairs(arg.kernels) do
    list[i] = spec.kernel(arg.name, name)
  end
  return list
end

-- What of this machine the times depend on; where there is no device the node is deferred, and there is nothing to name.
local function machine_facts(op)
  local names = {}
  for _, name in ipairs(op.device == "gpu" and { "gpu.0.name", "gpu.driver" } or { "cpu.model", "cores" }) do
    if fact(name) then
      names[#names + 1] = name
    end
  end
  return names
end

-- The proofs of the guide, and those that the bench's own hypotheses rest on.
local function proofs_of(arg)
  local list, seen = {}, {}
  local function add(proof)
    if not seen[proof] then
      seen[proof] = true
      list[#list + 1] = proof
    end
  end
  for _, proof in ipairs(shared "guides"[arg.guide].proofs) do
    add(proof)
  end
  for _, name in ipairs(arg.hypotheses) do
    local hypothesis = shared "hypotheses"[name]
    if not hypothesis then
      fail(("no hypothesis is called \"%s\""):format(name), { code = "unknown_name", word = name, field = "hypotheses" })
    end
    for _, law in ipairs(hypothesis.rests_on) do
      add(shared "invariants"[law].proof)
    end
  end
  return list
end

-- The predictions that are put to the test: frozen before the first sample.
local function hypotheses_of(arg)
  local files = {}
  for i, name in ipairs(arg.hypotheses or {}) do
    files[i] = shared "hypotheses"[name].file
  end
  return files
end

-- What the later steps need to know of the study, as data.
local function study_text(arg, op, kernels)
  local hypotheses, entries = {}, {}
  for _, name in ipairs(#arg.hypotheses > 0 and arg.hypotheses or shared "guides"[arg.guide].hypotheses) do
    local h = shared "hypotheses"[name]
    hypotheses[#hypotheses + 1] = { name = name, because = h.because, predicts = h.predicts, rests_on = h.rests_on }
  end
  for i, kernel in ipairs(kernels) do
    entries[i] = { name = kernel.name, threads = kernel.threads, library = kernel.library }
  end
  return json.pretty {
    name = op.name, title = op.title, kernels = entries, baselines = json.array(arg.baselines), hypotheses = json.array(hypotheses),
  }
end

-- The study's budget lies beside the measurement and not in its key: more money makes no other number.
local function allowance(arg, stem)
  if not arg.allow then
    return
  end
  local file = stem .. ".allow.json"
  node {
    file, name = ("bench/%s/allow"):format(arg.name), kind = "allowance",
    write = json.pretty { of = "measurement", name = "bench/" .. arg.name, allow = allow(arg.allow) },
  }
  return file
end

local function measure(arg, op, kernels, stem)
  local entries, inputs = {}, { op.reference }
  for i, kernel in ipairs(kernels) do
    entries[i] = spec.entry(op, kernel, arg.shapes)
    entries[i].check = not kernel.library and kernel.check or nil
    inputs[#inputs + 1] = kernel.objects or kernel.object
    inputs[#inputs + 1] = kernel.check
  end
  local guide = shared "guides"[arg.guide]
  node {
    stem .. ".spec.json", name = ("bench/%s/spec"):format(arg.name), kind = "specification",
    write = json.pretty(spec.make(op, arg.shapes, {
      kernels = entries, control = arg.control, budget_s = arg.budget, min_blocks = arg.min_blocks, max_blocks = arg.max_blocks, timeout_s = arg.timeout,
    })),
  }
  local variables, folders = spec.surroundings(op)
  return node {
    stem .. ".json",
    name = "bench/" .. arg.name,
    kind = "bench",
    doc = op.title,
    run = { spec.runner(op), "bench", stem .. ".spec.json", "--out", stem .. ".json" },
    inputs = { stem .. ".spec.json", inputs, hypotheses_of(arg) },
    env = variables,
    reads = folders,
    phase = "inner",
    measures = true,
    order_only = allowance(arg, stem),
    guide = guide.file,
    proofs = { proofs_of(arg), op.admission },
    facts = machine_facts(op),
    device = op.device == "gpu",
  }
end

local function make(arg)
  local op, kernels = spec.op(arg.name), contenders(arg)
  if not shared "guides"[arg.guide] then
    fail(("no guide is called \"%s\""):format(arg.guide), { code = "unknown_name", field = "guide" })
  end
  for _, base in ipairs(arg.baselines) do
    spec.kernel(arg.name, base)
  end
  local stem = "out/bench/" .. arg.name
  node { stem .. ".study.json", name = ("bench/%s/study"):format(arg.name), kind = "specification", write = study_text(arg, op, kernels) }
  measure(arg, op, kernels, stem)
  step(("bench/%s/metrics"):format(arg.name)) {
    kind = "metrics",
    script = "step/metrics.lua",
    modules = { "step/samples.lua" },
    inputs = { study = stem .. ".study.json", bench = stem .. ".json" },
    outputs = { metrics = metrics(stem .. ".metrics.json") },
  }
  local checks = {}
  for i, kernel in ipairs(kernels) do
    checks[i] = kernel.check
  end
  shared "benches"[arg.name] = { stem = stem, proofs = proofs_of(arg), checks = checks, title = op.title }
end

return {
  name = "bench",
  doc = "Times kernels and baselines in randomised, interleaved blocks in one process lifetime of the runner: fresh inputs and poisoned outputs for every launch, every "
    .. "timed output checked, one kernel twice as the A/A control. Only kernels whose check passed are timed. The node is called bench/OP.",
  shape = {
    named = true,
    name = { type = "string", doc = "the op" },
    guide = { type = "string", required = true, doc = "the guide whose token it needs" },
    hypotheses = { type = "strings", doc = "the hypotheses it tests; without them, the guide's" },
    kernels = { type = "strings", required = true, doc = "the variants to time" },
    baselines = { type = "strings", required = true, doc = "those of them that the others are compared with" },
    control = { type = "string", required = true, doc = "the variant that is timed twice" },
    shapes = { type = "list", required = true, doc = "{ \"name\", B = 1, ... }" },
    budget = { type = "number", default = 10, doc = "seconds for each shape" },
    allow = { type = "table", doc = "what all its runs may take together: { tries =, wall =, cpu =, device = }, seconds where it is time; "
      .. "`spak status` tells what is spent, and the notes of the traces keep it when out/ is removed" },
    min_blocks = { type = "integer", default = 7, doc = "blocks at least, whatever the budget" },
    max_blocks = { type = "integer", default = 40, doc = "blocks at most" },
    timeout = { type = "number", default = 60, doc = "seconds a launch may take" },
  },
  example = [[
use "bench"

bench "example" {
  guide = "example", kernels = { "naive", "fused" }, baselines = "naive", control = "fused",
  shapes = { { "large", n = 1000000 } }, budget = 1,
}
]],
  make = make,
}
