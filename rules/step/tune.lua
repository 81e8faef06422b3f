-- One bench of a search -> how many times faster than the default each configuration was, over all shapes, and how long their kernels ran.
local samples = include "samples.lua"

return function(step)
  local bench = step.json "bench"
  local out, names = { ratios = {}, failed = {}, kernel_s = 0.0 }, {}
  for _, shape in ipairs(bench.shapes) do
    for name, kernel in pairs(shape.kernels) do
      names[name] = true
      if kernel.status ~= "PASS" then
        out.failed[name] = kernel.status
      end
      for _, ns in ipairs(kernel.samples_ns) do
        out.kernel_s = out.kernel_s + ns / 1e9
      end
    end
  end
  for name in pairs(names) do
    local all = {}
    for _, shape in ipairs(bench.shapes) do
      all[#all + 1] = samples.speedup(bench, shape.name, name, "default")
    end
    out.ratios[name] = not out.failed[name] and #all == #bench.shapes and samples.geomean(all) or nil
  end
  step.write("ratios", json.encode(out) .. "\n")
end
