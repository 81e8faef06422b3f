-- What the raw samples of a bench say: per-block pairs, medians, intervals.
local samples = {}

local SEED = 20250101

-- The entry of one kernel on one shape, nil unless it was measured there.
local function entry(bench, shape, kernel)
  for _, s in ipairs(bench.shapes) do
    if s.name == shape then
      local k = s.kernels[kernel]
      if k and k.status == "PASS" and #k.samples_ns > 1 then
        return k.samples_ns, s
      end
    end
  end
end

-- How many times faster `a` is than `b` on a shape: the median of the blocks' log ratios with its 95 % interval.
function samples.speedup(bench, shape, a, b)
  local ta, tb = entry(bench, shape, a), entry(bench, shape, b)
  if ta and tb and #ta == #tb then
    return stat.ratio(tb, ta, SEED)
  end
end

function samples.time_ns(bench, shape, kernel)
  local t = entry(bench, shape, kernel)
  return t and stat.median(t, SEED)
end

function samples.gflops(bench, shape, kernel)
  local t, s = entry(bench, shape, kernel)
  if not t then
    return nil
  end
  local m = stat.median(t, SEED)
  return { median = s.flops / m.median, lo = s.flops / m.hi, hi = s.flops / m.lo, n = m.n }
end

-- The geometric mean of positive quantities measured on independent shapes; half widths add in squares of logs.
function samples.geomean(intervals)
  if #intervals == 0 then
    return nil
  end
  local middle, below, above, n = 0.0, 0.0, 0.0, 0
  for _, i in ipairs(intervals) do
    middle = middle + math.log(i.median)
    below = below + (math.log(i.median) - math.log(i.lo)) ^ 2
    above = above + (math.log(i.hi) - math.log(i.median)) ^ 2
    n = n + i.n
  end
  local count = #intervals
  middle = middle / count
  return {
    median = math.exp(middle),
    lo = math.exp(middle - math.sqrt(below) / count),
    hi = math.exp(middle + math.sqrt(above) / count),
    n = n,
  }
end

-- Over all shapes that were measured, or over `wanted`, each of which has to be.
local function over_shapes(bench, measure, wanted)
  local all, names = {}, wanted or {}
  for i = 1, wanted and 0 or #bench.shapes do
    names[i] = bench.shapes[i].name
  end
  for _, name in ipairs(names) do
    local one = measure(name)
    if one then
      all[#all + 1] = one
    elseif wanted then
      return nil
    end
  end
  return samples.geomean(all)
end

-- Where one of these kernels was to be measured and failed: "fused is WRONG on large". Without such shapes the rest would look better than it is.
function samples.failed(bench, kernels)
  for _, s in ipairs(bench.shapes) do
    for _, name in ipairs(kernels) do
      local k = s.kernels[name]
      if k and k.status ~= "PASS" and k.status ~= "UNMEASURED" and k.status ~= "UNAVAILABLE" then
        return ("%s is %s on %s"):format(name, k.status, s.name)
      end
    end
  end
end

-- The quantity of a parsed prediction; nil and the reason when a kernel failed on a shape that counts.
function samples.quantity(bench, parsed)
  local a, b = parsed.names[1], parsed.names[2]
  local function measure(shape)
    if parsed.quantity == "speedup" then
      return samples.speedup(bench, shape, a, b)
    end
    return samples.gflops(bench, shape, a)
  end
  local failed = not parsed.shapes and samples.failed(bench, parsed.quantity == "speedup" and { a, b } or { a })
  if failed then
    return nil, failed
  end
  return over_shapes(bench, measure, parsed.shapes)
end

-- The width of the A/A control: what two copies of the same kernel differ by.
function samples.noise(bench)
  local control = bench.control
  if not control then
    return nil
  end
  return over_shapes(bench, function(shape)
    return samples.speedup(bench, shape, control, "A/A control")
  end)
end

return samples
