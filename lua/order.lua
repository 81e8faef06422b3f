-- Tables in a fixed order: Lua's own differs from run to run.
local order = {}

-- The keys: numbers, then texts, each sorted, then the rest.
function order.keys(t)
  local numbers, texts, others = {}, {}, {}
  for key in next, t do
    local list = type(key) == "number" and numbers or type(key) == "string" and texts or others
    list[#list + 1] = key
  end
  table.sort(numbers)
  table.sort(texts)
  table.move(texts, 1, #texts, #numbers + 1, numbers)
  return table.move(others, 1, #others, #numbers + 1, numbers)
end

function order.pairs(t)
  if type(t) ~= "table" then
    error(("bad argument #1 to 'pairs' (table expected, got %s)"):format(type(t)), 2)
  end
  local keys, at = order.keys(t), 0
  return function()
    at = at + 1
    local key = keys[at]
    if key ~= nil then
      return key, t[key]
    end
  end
end

return order
