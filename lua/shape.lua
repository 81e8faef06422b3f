-- One checker for the arguments of every rule and builtin, so that all refuse a wrong one in the same words.
--
-- A shape is a table from field to { type =, required =, default =, one_of =, doc = }. The key 1 stands for what is given
-- by position (with many = true any number of it). `named = true` in a shape says that the call is written rule "name" { ... }.
local order = import "order"

local shape = {}

local words = {
  any = "anything",
  string = "a text",
  number = "a number",
  integer = "a whole number",
  boolean = "true or false",
  table = "a table",
  ["function"] = "a function",
  list = "a list",
  strings = "a text or a list of texts",
  path = "a path",
  paths = "a path or a list of paths",
  nodes = "a node's name or a list of them",
  map = "a table from name to text",
  tools = "a tool's name or a list of them",
}

local tests = {}

local function is_list(value)
  if type(value) ~= "table" or engine.mark_of(value) then
    return false
  end
  local count = 0
  for _ in next, value do
    count = count + 1
  end
  return count == #value
end

-- Texts, or lists of what `item` accepts, to any depth a person would write.
local function all(value, item, depth)
  if item(value) then
    return true
  end
  if depth > 8 or not is_list(value) then
    return false
  end
  for _, v in ipairs(value) do
    if not all(v, item, depth + 1) then
      return false
    end
  end
  return true
end

local function is_text(value)
  return type(value) == "string" or type(value) == "number"
end

function tests.any()
  return true
end
for _, name in ipairs { "string", "number", "boolean", "function" } do
  tests[name] = function(value)
    return type(value) == name
  end
end
function tests.integer(value)
  return math.type(value) == "integer"
end
function tests.table(value)
  return type(value) == "table" and not engine.mark_of(value)
end
tests.list = is_list
function tests.strings(value)
  return all(value, is_text, 0)
end
function tests.path(value)
  local mark = engine.mark_of(value)
  return (type(value) == "string" and value ~= "") or mark == "path" or (mark == "node" and #value > 0)
end
function tests.paths(value)
  return all(value, tests.path, 0)
end
function tests.nodes(value)
  return all(value, function(v)
    return (type(v) == "string" and v ~= "") or engine.mark_of(v) == "node"
  end, 0)
end
function tests.tools(value)
  return all(value, function(v)
    return (type(v) == "string" and v ~= "") or engine.mark_of(v) == "tool"
  end, 0)
end
function tests.map(value)
  if not tests.table(value) then
    return false
  end
  for k, v in next, value do
    if type(k) ~= "string" or not (is_text(v) or type(v) == "boolean") then
      return false
    end
  end
  return true
end

local function fits(kinds, value)
  for kind in kinds:gmatch "[^|]+" do
    local test = tests[kind]
    if not test then
      engine.fail { code = "bad_rule", message = "a shape asks for the type `" .. kind .. "`, which there is not" }
    end
    if test(value) then
      return true
    end
  end
  return false
end

local function wanted(kinds)
  local out = {}
  for kind in kinds:gmatch "[^|]+" do
    out[#out + 1] = words[kind]
  end
  return table.concat(out, " or ")
end

-- What a person calls the value they wrote.
function shape.describe(value)
  local mark = engine.mark_of(value)
  if value == nil then
    return "nothing"
  elseif mark then
    return "a " .. mark
  elseif type(value) == "string" then
    return #value > 30 and "a text" or ("the text %q"):format(value)
  elseif type(value) == "number" then
    return "the number " .. tostring(value)
  elseif type(value) == "boolean" then
    return tostring(value)
  elseif type(value) == "function" then
    return "a function"
  elseif is_list(value) then
    return #value == 0 and "an empty table" or "a list"
  end
  return "a table with fields"
end

-- The nearest of `names` to a misspelt word, or nil. Names are looked at in order, so that the answer is always the same.
function shape.nearest(word, names)
  table.sort(names)
  local best, best_distance = nil, #word // 3 + 2
  for _, name in ipairs(names) do
    local d = engine.distance(word, name)
    if d < best_distance then
      best, best_distance = name, d
    end
  end
  return best
end

local function field_names(s)
  local names = {}
  for name in next, s do
    if type(name) == "string" and name ~= "named" then
      names[#names + 1] = name
    end
  end
  return names
end

local function refuse_unknown(s, who, key)
  if type(key) ~= "string" then
    if math.type(key) == "integer" then
      engine.fail {
        code = "wrong_argument",
        message = ("`%s` takes %s by position"):format(who, s[1] and "one value" or "nothing"),
        hint = "every other value has a name: name = value",
      }
    end
    engine.fail { code = "wrong_argument", message = ("`%s` takes fields by name"):format(who) }
  end
  local names = field_names(s)
  local near = shape.nearest(key, names)
  engine.fail {
    code = "unknown_field",
    message = ("`%s` has no field `%s`"):format(who, key),
    word = key,
    hint = near and ("did you mean `%s`?"):format(near)
      or #names > 0 and "its fields are " .. table.concat(names, ", ")
      or "it has no fields at all",
  }
end

local function label(who, key)
  if type(key) == "string" then
    return ("`%s` of `%s`"):format(key, who)
  end
  return ("what `%s` is given by position"):format(who)
end

-- In a list, the first item that does not fit is what is wrong; a list that holds itself is looked into only so far.
local function culprit(kinds, value, depth)
  if is_list(value) and depth < 8 then
    for i, item in ipairs(value) do
      if not fits(kinds, item) then
        local inner = culprit(kinds, item, depth + 1)
        return inner == item and ("with %s as item %d"):format(shape.describe(item), i) or inner
      end
    end
  end
  return value
end

local function check_value(spec, who, key, value)
  if not fits(spec.type or "any", value) then
    local found = culprit(spec.type, value, 0)
    engine.fail {
      code = "wrong_argument",
      message = ("%s has to be %s, not %s"):format(label(who, key), wanted(spec.type),
        found == value and shape.describe(value) or "one " .. found),
      word = type(key) == "string" and key or nil,
      hint = spec.doc and label(who, key) .. ": " .. spec.doc or nil,
    }
  end
  if not spec.one_of then
    return
  end
  for _, one in ipairs(spec.one_of) do
    if value == one then
      return
    end
  end
  local list = {}
  for i, one in ipairs(spec.one_of) do
    list[i] = ("%q"):format(one)
  end
  engine.fail {
    code = "wrong_argument",
    message = ("%s has to be one of %s, not %s"):format(label(who, key), table.concat(list, ", "), shape.describe(value)),
    word = type(key) == "string" and key or nil,
  }
end

local function refuse_missing(spec, who, key)
  engine.fail {
    code = "wrong_argument",
    message = type(key) == "string" and ("`%s` needs the field `%s`"):format(who, key)
      or ("`%s` needs %s by position"):format(who, wanted(spec.type or "any")),
    hint = spec.doc and ("%s: %s"):format(type(key) == "string" and key or "it", spec.doc) or nil,
  }
end

-- Refuses what does not fit; returns nothing.
function shape.check(s, arg, who)
  if type(arg) ~= "table" or engine.mark_of(arg) then
    engine.fail {
      code = "wrong_argument",
      message = ("`%s` takes a table, not %s"):format(who, shape.describe(arg)),
      hint = ("write %s { ... }"):format(who),
    }
  end
  for key, value in order.pairs(arg) do
    local spec = s[key]
    if math.type(key) == "integer" and s[1] and (key == 1 or s[1].many) then
      spec = s[1]
    end
    if not spec or key == "named" then
      refuse_unknown(s, who, key)
    end
    check_value(spec, who, key, value)
  end
  for key, spec in order.pairs(s) do
    if key ~= "named" and spec.required and arg[key] == nil then
      refuse_missing(spec, who, key)
    end
  end
end

-- Lists in lists become one list; a node among paths stands for its outputs, among nodes for its name.
local function flatten(value, kind, out)
  local mark = engine.mark_of(value)
  if mark == "node" and kind == "paths" then
    for _, path in ipairs(value) do
      out[#out + 1] = path
    end
  elseif mark == "node" then
    out[#out + 1] = value.name
  elseif mark or type(value) ~= "table" then
    out[#out + 1] = type(value) == "number" and tostring(value) or value
  else
    for _, v in ipairs(value) do
      flatten(v, kind, out)
    end
  end
  return out
end
shape.flatten = flatten

local flat = { strings = true, paths = true, nodes = true, tools = true }

-- Checks, and returns a copy with defaults filled in and with every list-like field a flat list, empty where nothing was given.
function shape.apply(s, arg, who)
  shape.check(s, arg, who)
  local out = {}
  for key, value in next, arg do
    local spec = s[key]
    out[key] = spec and flat[spec.type] and key ~= 1 and flatten(value, spec.type, {}) or value
  end
  for key, spec in next, s do
    if key ~= "named" and out[key] == nil then
      if spec.default ~= nil then
        out[key] = spec.default
      elseif flat[spec.type] and key ~= 1 then
        out[key] = {}
      end
    end
  end
  return out
end

return shape
