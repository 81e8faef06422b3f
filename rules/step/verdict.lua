-- What the measurements say about the hypotheses and about every kernel against every baseline.
local predict = include "predict.lua"
local samples = include "samples.lua"

-- Differences smaller than this are not worth a word, however sure they are.
local MARGIN = 0.01

local function judge_hypothesis(hypothesis, bench, refuted)
  local parsed = predict.parse(hypothesis.predicts)
  local measured, failed = samples.quantity(bench, parsed)
  local out = { name = hypothesis.name, predicts = hypothesis.predicts, because = hypothesis.because, measured = measured, failed = failed }
  out.state = predict.judge(parsed, measured)
  for _, law in ipairs(hypothesis.rests_on) do
    if refuted[law] then
      out.state = "undecided"
      out.note = "rests on " .. law .. ", which is not verified"
    end
  end
  return out
end

local function compare(bench, kernel, base)
  local out = { kernel = kernel, baseline = base, shapes = {} }
  local all = {}
  for _, shape in ipairs(bench.shapes) do
    local r = samples.speedup(bench, shape.name, kernel, base)
    if r then
      all[#all + 1] = r
      out.shapes[#out.shapes + 1] = { shape = shape.name, speedup = r, verdict = stat.verdict(r.lo, r.hi, MARGIN) }
    end
  end
  out.speedup = samples.geomean(all)
  if out.speedup then
    out.verdict = stat.verdict(out.speedup.lo, out.speedup.hi, MARGIN)
    out.smallest_effect = math.exp((math.log(out.speedup.hi) - math.log(out.speedup.lo)) / 2) - 1
  else
    out.verdict = "UNMEASURED"
  end
  return out
end

return function(step)
  local study, bench = step.json "study", step.json "bench"
  local refuted = {}
  for _, proof in ipairs(step.json_all "proof") do
    if proof.status ~= "verified" then
      refuted[proof.name] = true
    end
  end
  -- With the draw anybody can make the random inputs again.
  local out = { op = bench.op, draw = bench.draw, margin = MARGIN, noise = samples.noise(bench), hypotheses = {}, kernels = {} }
  for _, hypothesis in ipairs(study.hypotheses) do
    out.hypotheses[#out.hypotheses + 1] = judge_hypothesis(hypothesis, bench, refuted)
  end
  for _, kernel in ipairs(study.kernels) do
    for _, base in ipairs(study.baselines) do
      if kernel.name ~= base then
        out.kernels[#out.kernels + 1] = compare(bench, kernel.name, base)
      end
    end
  end
  step.write("verdict", json.encode(out) .. "\n")
end
