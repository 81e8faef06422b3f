-- A prediction is a comparison of one measured quantity with a number:
--     speedup(fused, naive) >= 5          geometric mean over the shapes that both ran
--     speedup(fused, naive, s2048) >= 5   on one shape, or over those that are named
--     gflops(threaded, s2048) >= 100
local predict = {}

local operators = {
  [">="] = function(a, b) return a >= b end,
  [">"] = function(a, b) return a > b end,
  ["<="] = function(a, b) return a <= b end,
  ["<"] = function(a, b) return a < b end,
}

-- Returns { quantity, names, operator, value }, or nil and what is wrong.
function predict.parse(text)
  local quantity, list, operator, value = text:match("^%s*([%a_]+)%s*%(([^()]*)%)%s*([<>]=?)%s*([%d.eE+-]+)%s*$")
  if not quantity then
    return nil, "a prediction reads like `speedup(fused, naive) >= 5`"
  end
  if quantity ~= "speedup" and quantity ~= "gflops" then
    return nil, "a prediction compares `speedup(a, b)` or `gflops(a)`, not `" .. quantity .. "`"
  end
  local names = {}
  for name in list:gmatch("[^,%s]+") do
    names[#names + 1] = name
  end
  local need = quantity == "speedup" and 2 or 1
  if #names < need then
    return nil, "`" .. quantity .. "` takes " .. need .. " kernel names, and shapes if it is not about all"
  end
  if not tonumber(value) then
    return nil, "`" .. value .. "` is not a number"
  end
  local shapes = table.move(names, need + 1, #names, 1, {})
  return { quantity = quantity, names = names, operator = operator, value = tonumber(value), shapes = #shapes > 0 and shapes or nil }
end

-- "validated" when the whole interval satisfies the comparison, "falsified" when none of it does.
function predict.judge(parsed, interval)
  if not interval then
    return "unmeasured"
  end
  local holds = operators[parsed.operator]
  local low, high = holds(interval.lo, parsed.value), holds(interval.hi, parsed.value)
  if low and high then
    return "validated"
  end
  return (low or high) and "undecided" or "falsified"
end

return predict
