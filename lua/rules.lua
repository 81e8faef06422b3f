-- Rules: tables { name, doc, shape, example, make } that become functions.
local shape = import "shape"
local builtins = import "builtins"

local rules = {}

local rule_shape = {
  name = { type = "string", required = true, doc = "the name of its function" },
  doc = { type = "string", doc = "what it is for, in a sentence or two" },
  shape = { type = "table", required = true, doc = "the fields it takes" },
  example = { type = "string", doc = "a spakfile that uses it" },
  make = { type = "function", required = true, doc = "called with the checked fields" },
  gives = { type = "table", doc = "further functions that come with it, by name" },
}

local function checked(rule, where)
  if type(rule) ~= "table" then
    engine.fail {
      code = "bad_rule",
      message = ("%s returns %s and not a rule"):format(where, shape.describe(rule)),
      hint = "a rule's file ends with return { name = ..., doc = ..., shape = { ... }, make = function(arg) ... end }",
    }
  end
  shape.check(rule_shape, rule, "rule")
  return rule
end

-- While `make` runs, nodes are of this rule's kind.
local function call(rule, arg)
  local before = engine.rule(rule.name)
  local result = rule.make(arg)
  engine.rule(before)
  return result
end

local function as_function(rule)
  if rule.shape.named then
    return builtins.named(rule.name, function(name, arg)
      local copy = shape.apply(rule.shape, arg, rule.name)
      copy.name = copy.name or name
      return call(rule, copy)
    end)
  end
  return function(arg)
    return call(rule, shape.apply(rule.shape, arg, rule.name))
  end
end

local loaded = {}
local loading = {}

local function missing(name)
  local near = shape.nearest(name, engine.rule_names())
  engine.fail {
    code = "missing_rule",
    message = ("no rule is called \"%s\""):format(name),
    word = name,
    hint = near and ("did you mean \"%s\"?"):format(near)
      or "there are " .. table.concat(engine.rule_names(), ", "),
  }
end

-- A rule's function and what else it gives, loaded once.
function rules.load(name, environment)
  if loaded[name] then
    return loaded[name]
  end
  local path = type(name) == "string" and name:match "^[%w_-]+$" and engine.find_rule(name .. ".lua")
  if not path then
    missing(tostring(name))
  end
  if loading[name] then
    engine.fail { code = "bad_rule", message = ("the rule \"%s\" uses itself while it is loaded"):format(name), word = name }
  end
  loading[name] = true
  local rule = checked(engine.load(path, "rule", environment())(), path)
  rules.all[#rules.all + 1] = rule
  loaded[name] = { make = as_function(rule), gives = rule.gives or {} }
  loading[name] = nil
  return loaded[name]
end

-- An inline rule.
function rules.define(rule)
  return as_function(checked(rule, "rule"))
end

rules.all = {}

return rules
