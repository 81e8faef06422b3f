-- The closed environment that a file is evaluated in.
local shape = import "shape"
local builtins = import "builtins"
local rules = import "rules"
local path = import "path"
local order = import "order"

local environment = {}

-- A library as it may be seen: readable, not writable.
local function frozen(name, library)
  return setmetatable({}, {
    __index = function(_, key)
      local value = library[key]
      if value == nil then
        environment.refuse(name .. "." .. tostring(key), tostring(key), library, name .. ".")
      end
      return value
    end,
    __newindex = function(_, key)
      engine.fail { code = "closed_environment", message = ("%s.%s cannot be set"):format(name, tostring(key)), word = tostring(key) }
    end,
    __metatable = false,
  })
end

local instead = {
  os = "time, processes and the environment are closed to a spakfile; env \"HOME\" and fact \"os\" are recorded reads",
  io = "use read \"file\" for the text of a source, and a node to write one",
  debug = "there is no debug library here",
  require = "use include \"file\", or use \"rule\"",
  dofile = "use include \"file\"",
  loadfile = "use include \"file\"",
  load = "code from text is closed to a spakfile; include \"file\" reads one",
  loadstring = "code from text is closed to a spakfile; include \"file\" reads one",
  pcall = "an error in a spakfile is for the person who reads it; test before instead",
  xpcall = "an error in a spakfile is for the person who reads it; test before instead",
  collectgarbage = "memory is the engine's to care for",
  coroutine = "a driver's function is the one that waits",
  rawset = "tables of the environment cannot be changed",
  next = "pairs goes through a table in a fixed order",
  _G = "globals of a file are its builtins and rules, and cannot be listed",
  ["string.dump"] = "code as text is closed to a spakfile",
  ["math.random"] = "evaluation is the same every time; a seed belongs in a node's params",
  ["math.randomseed"] = "evaluation is the same every time; a seed belongs in a node's params",
}

local function names_of(...)
  local names = {}
  for _, t in ipairs { ... } do
    for name in next, t do
      names[#names + 1] = name
    end
  end
  return names
end

function environment.refuse(full, word, scope, prefix)
  if instead[full] then
    engine.fail { code = "closed_environment", message = ("`%s` is not to be had here"):format(full), word = word, hint = instead[full] }
  end
  local hint
  for _, name in ipairs(prefix == "" and engine.rule_names() or {}) do
    if name == word then
      hint = ("a rule of that name can be loaded: use \"%s\""):format(name)
    end
  end
  if not hint then
    local near = shape.nearest(word, names_of(scope, prefix == "" and environment.visible or {}))
    hint = near and ("did you mean `%s%s`?"):format(prefix, near)
  end
  engine.fail { code = "unknown_name", message = ("nothing is called `%s` here"):format(full), word = word, hint = hint }
end

local type_names = { table = "table", ["function"] = "function", thread = "thread", userdata = "userdata" }

-- Addresses differ from run to run, so they are not shown.
local function plain(value)
  if type_names[type(value)] and not engine.mark_of(value) then
    local mt = getmetatable(value)
    if not (type(mt) == "table" and mt.__tostring) then
      return type_names[type(value)]
    end
  end
  return tostring(value)
end
builtins.tostring = plain

-- A finaliser would run at a time that nobody chose.
local function set_metatable(t, mt)
  if type(mt) == "table" and rawget(mt, "__gc") ~= nil then
    error("__gc is closed to a spakfile", 2)
  end
  return setmetatable(t, mt)
end

local function without(library, ...)
  local copy = {}
  for name, value in next, library do
    copy[name] = value
  end
  for _, name in ipairs { ... } do
    copy[name] = nil
  end
  return copy
end

local text = without(string, "dump")
text.format = engine.formatter(string.format, plain)
getmetatable("").__index = text
getmetatable("").__metatable = false

local common = {
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, pairs = order.pairs, rawequal = rawequal,
  rawget = rawget, rawlen = rawlen, select = select, setmetatable = set_metatable, tonumber = tonumber, tostring = plain,
  type = type, _VERSION = _VERSION,
  string = frozen("string", text),
  table = frozen("table", without(table)),
  math = frozen("math", without(math, "random", "randomseed")),
  utf8 = frozen("utf8", without(utf8)),
  json = frozen("json", engine.json),
  path = frozen("path", path),
}
for _, name in ipairs { "node", "target", "glob", "read", "param", "fact", "tool", "pool", "env", "driver", "dir", "traced", "metrics",
  "trace_to", "print", "here" } do
  common[name] = builtins[name]
end

local for_rules = {}
for _, name in ipairs { "fail", "finally", "shared", "probe", "watch", "rule_file" } do
  for_rules[name] = builtins[name]
end
environment.visible = common

-- A file's globals are closed: what is not in `own` is an error, and nothing is added.
local function closed(own)
  setmetatable(own, {
    __index = function(_, name)
      environment.refuse(tostring(name), tostring(name), own, "")
    end,
  })
  return setmetatable({}, {
    __index = own,
    __newindex = function(_, name)
      engine.fail {
        code = "bad_global",
        message = ("`%s` is not declared"):format(tostring(name)),
        word = tostring(name),
        hint = ("write local %s = ..."):format(tostring(name)),
      }
    end,
    __metatable = false,
  })
end

local files = {}

-- Where an included file is: below the root, for a rule also among the rules.
local function locate(name, kind)
  if engine.is_file(name) then
    return name
  end
  local found = kind == "rule" and engine.find_rule(name)
  if not found then
    engine.watch(name)
    engine.fail {
      code = "bad_include",
      message = ("there is no file \"%s\""):format(name),
      word = name,
      hint = "paths are relative to the project's root, also in an included file",
    }
  end
  return found
end

-- A file is evaluated once and its value kept.
local function include(name, kind, above)
  if type(name) ~= "string" then
    engine.fail { code = "wrong_argument", message = "`include` takes a path, not " .. shape.describe(name) }
  end
  local file = locate(name, kind)
  local known = files[file]
  if known and not known.done then
    engine.fail { code = "bad_include", message = ("\"%s\" includes itself"):format(name), word = name }
  end
  if not known then
    environment.evaluate(file, kind, above)
  end
  return files[file].value
end

-- Adds a rule's function to a file's globals.
local function add_rule(own, name, make)
  if common[name] or for_rules[name] or name == "use" or name == "include" or name == "rule" then
    engine.fail { code = "bad_rule", message = ("a rule cannot be called \"%s\": there is a builtin of that name"):format(name), word = name }
  end
  own[name] = make
end

local function rule_environment()
  return environment.new("rule", {})
end

-- `above` holds the rules of the file that includes this one.
function environment.new(kind, above)
  local own, loaded = {}, {}
  for _, source in ipairs { common, kind == "rule" and for_rules or {}, above } do
    for name, value in next, source do
      own[name] = value
    end
  end
  for name, value in next, above do
    loaded[name] = value
  end
  function own.use(names)
    if type(names) ~= "string" and type(names) ~= "table" then
      engine.fail {
        code = "wrong_argument",
        message = "`use` takes the name of a rule, not " .. shape.describe(names),
        hint = 'use "cc" "test"',
      }
    end
    for _, name in ipairs(shape.flatten(names, "strings", {})) do
      local found = rules.load(name, rule_environment)
      loaded[name] = found.make
      add_rule(own, name, found.make)
      for given, f in next, found.gives do
        loaded[given] = f
        add_rule(own, given, f)
      end
    end
    return own.use
  end
  function own.rule(spec)
    local made = rules.define(spec)
    loaded[spec.name] = made
    add_rule(own, spec.name, made)
    return made
  end
  function own.include(name)
    return include(name, kind, loaded)
  end
  return closed(own)
end

function environment.evaluate(name, kind, above)
  files[name] = {}
  local value = engine.load(name, kind, environment.new(kind, above or {}))()
  files[name].value, files[name].done = value, true
  return value
end

return environment
