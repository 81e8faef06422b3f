-- Strategies of a search. A strategy is told about a space and answers with a function that is asked, round by round, what to try next:
--
--     local propose = search.strategies.random(space)
--     local numbers = propose(measured, room)   -- at most `room` of them; none: it knows nothing more to try
--
-- Configurations are numbered in the order of the space, 1 is the default. `space` has `count`, `seed` and `neighbours(number)`; `measured` maps numbers
-- to how many times faster than the default they were, false: rejected. The same answers lead to the same questions, which is what a record replays.
local search = { strategies = {} }

local function shuffled(count, seed)
  local list, state = {}, seed
  for i = 1, count do
    list[i] = i
  end
  for i = count, 2, -1 do
    state = state * 6364136223846793005 + 1442695040888963407
    local other = 1 + (state >> 33) % i
    list[i], list[other] = list[other], list[i]
  end
  return list
end

-- The first of a list that are not measured yet.
local function fresh(list, measured, room)
  local out, taken = {}, {}
  for _, number in ipairs(list) do
    if #out < room and measured[number] == nil and not taken[number] then
      taken[number] = true
      out[#out + 1] = number
    end
  end
  return out
end

local function in_order_of(list)
  return function(measured, room)
    return fresh(list, measured, room)
  end
end

function search.strategies.exhaustive(space)
  local list = {}
  for i = 1, space.count do
    list[i] = i
  end
  return in_order_of(list)
end

function search.strategies.random(space)
  return in_order_of(shuffled(space.count, space.seed))
end

-- Climbs: the neighbours of the fastest so far, whose neighbours are not all known; then of the next. Where there is no such, anywhere.
search.strategies["local"] = function(space)
  local anywhere = shuffled(space.count, space.seed)
  return function(measured, room)
    local known = {}
    for number, ratio in pairs(measured) do
      if ratio then
        known[#known + 1] = number
      end
    end
    table.sort(known, function(a, b)
      if measured[a] == measured[b] then
        return a < b
      end
      return measured[a] > measured[b]
    end)
    for _, number in ipairs(known) do
      local found = fresh(space.neighbours(number), measured, room)
      if #found > 0 then
        return found
      end
    end
    return fresh(anywhere, measured, room)
  end
end

local function sorted_names(space)
  local names = {}
  for name in pairs(space) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- All configurations that `where` allows, the default first, and how often it gave which reason against the others.
function search.enumerate(space, default, where)
  local names, list, refused = sorted_names(space), {}, {}
  local function add(values)
    local ok, reason = where(values)
    if not ok then
      reason = reason or "the constraint"
      refused[reason] = (refused[reason] or 0) + 1
      return
    end
    list[#list + 1] = values
  end
  local function same(values)
    for _, name in ipairs(names) do
      if values[name] ~= default[name] then
        return false
      end
    end
    return true
  end
  add(default)
  local total = 1
  for _, name in ipairs(names) do
    total = total * #space[name]
  end
  for number = 0, total - 1 do
    local values, rest = {}, number
    for i = #names, 1, -1 do
      local choices = space[names[i]]
      values[names[i]] = choices[rest % #choices + 1]
      rest = rest // #choices
    end
    if not same(values) then
      add(values)
    end
  end
  return list, refused, names
end

-- What differs from a configuration in one freedom, by one place in the list of its values.
function search.neighbours(space, names, list)
  local place = {}
  for _, name in ipairs(names) do
    place[name] = {}
    for i, value in ipairs(space[name]) do
      place[name][value] = i
    end
  end
  return function(number)
    local out = {}
    for other, values in ipairs(list) do
      local steps = 0
      for _, name in ipairs(names) do
        steps = steps + math.abs(place[name][values[name]] - place[name][list[number][name]])
      end
      if steps == 1 then
        out[#out + 1] = other
      end
    end
    return out
  end
end

return search
