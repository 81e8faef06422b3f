-- bench.json (raw samples) -> metrics.json: one line a metric with its interval, and the samples they came from.
local samples = include "samples.lua"

return function(step)
  local study, bench = step.json "study", step.json "bench"
  local out = { metrics = {}, samples = {} }

  local function add(name, unit, interval)
    if interval then
      out.metrics[#out.metrics + 1] =
        { metric = name, unit = unit, median = interval.median, lo = interval.lo, hi = interval.hi, n = interval.n }
    end
  end

  for _, shape in ipairs(bench.shapes) do
    for _, kernel in ipairs(study.kernels) do
      local name = ("%s.%s.%s"):format(bench.op, kernel.name, shape.name)
      add(name .. ".gflops", "GFLOP/s", samples.gflops(bench, shape.name, kernel.name))
      add(name .. ".time", "ns", samples.time_ns(bench, shape.name, kernel.name))
      for _, base in ipairs(study.baselines) do
        if base ~= kernel.name then
          add(name .. ".over." .. base, "x", samples.speedup(bench, shape.name, kernel.name, base))
        end
      end
      local measured = shape.kernels[kernel.name]
      if measured and #measured.samples_ns > 0 then
        out.samples[name .. ".time"] = measured.samples_ns
      end
    end
  end
  add(bench.op .. ".noise", "x", samples.noise(bench))
  table.sort(out.metrics, function(a, b) return a.metric < b.metric end)
  step.write("metrics", json.encode(out) .. "\n")
end
