-- A verdict: what a bench says about the hypotheses, and about every kernel against every baseline.
use "step"

local function make(arg)
  local bench = shared "benches"[arg.name]
  if not bench then
    fail(("no bench is called \"%s\""):format(arg.name), { code = "unknown_name", word = arg.name, hint = "declare the bench before its verdict" })
  end
  local file = ("out/verdict/%s.json"):format(arg.name)
  bench.verdict = file
  return step("verdict/" .. arg.name) {
    kind = "verdict",
    script = "step/verdict.lua",
    modules = { "step/samples.lua", "step/predict.lua" },
    inputs = { study = bench.stem .. ".study.json", bench = bench.stem .. ".json" },
    groups = { proof = bench.proofs },
    outputs = { verdict = traced(file) },
  }
end

return {
  name = "verdict",
  doc = "Judges each hypothesis by its own prediction (validated, falsified, undecided, unmeasured) and each kernel against each baseline (FASTER, SLOWER, SAME, "
    .. "UNDECIDED, with the smallest effect the data could have shown). The node is called verdict/OP.",
  shape = { named = true, name = { type = "string", doc = "the op" } },
  example = [[
use "verdict"

verdict "example" {}
]],
  make = make,
}
