-- A report: a study on one page, in Markdown and as plain text.
use "step"

local function make(arg)
  local bench = shared "benches"[arg.name]
  if not bench or not bench.verdict then
    fail(("no verdict is called \"%s\""):format(arg.name), { code = "unknown_name", word = arg.name, hint = "declare the verdict before its report" })
  end
  local stem = "out/report/" .. arg.name
  return step("report/" .. arg.name) {
    kind = "report",
    script = "step/report.lua",
    modules = { "step/samples.lua" },
    inputs = { study = bench.stem .. ".study.json", bench = bench.stem .. ".json", verdict = bench.verdict },
    groups = { proof = bench.proofs, check = bench.checks },
    outputs = { markdown = traced(stem .. ".md"), text = stem .. ".txt" },
    after = { ("bench/%s/metrics"):format(arg.name) },
  }
end

return {
  name = "report",
  doc = "Writes a study down: invariants with cases and killed mutants, variants with their rates and intervals, hypotheses with what became of them. The node is called "
    .. "report/OP and makes out/report/OP.md and out/report/OP.txt.",
  shape = { named = true, name = { type = "string", doc = "the op" } },
  example = [[
use "report"

report "example" {}
target "example" { "report/example", show = "out/report/example.txt" }
]],
  make = make,
}
