-- What every spakfile and every rule sees besides Lua's own functions.
local shape = import "shape"
local tools = import "tools"
local order = import "order"

local builtins = {}

local node_shape = {
  [1] = { type = "paths", many = true, doc = "what it makes" },
  name = { type = "string", doc = "its name; without one, its first output's path" },
  kind = { type = "string", doc = "the word for what it is; without one, the rule's name" },
  doc = { type = "string", doc = "what it is for; without one, the comment or the prose above" },
  run = { type = "strings|path|paths|tools|list", doc = "the command: a list, the program first" },
  shell = { type = "boolean", doc = "`run` is one text for sh -c" },
  inputs = { type = "paths", doc = "files that the command reads" },
  order_only = { type = "paths", doc = "files that are made before, whose content does not matter" },
  after = { type = "nodes", doc = "nodes that are done before" },
  outputs = { type = "paths", doc = "what it makes, besides what is given by position" },
  depfile = { type = "path", doc = "where the command writes down what it read, as make does" },
  reads = { type = "paths", doc = "folders that it may read, the depfile saying what it did read" },
  env = { type = "map", doc = "environment variables" },
  params = { type = "map", doc = "values that belong to its key and its trace" },
  facts = { type = "strings", doc = "facts of the machine that its result depends on" },
  tools = { type = "tools", doc = "programs it runs besides the first" },
  pool = { type = "string", doc = "the pool that limits how many run at once" },
  timeout = { type = "number", doc = "seconds, after which it is stopped and has failed" },
  write = { type = "string|number", doc = "the text that is written to its one output" },
  stdout = { type = "path", doc = "the output that gets what the command prints" },
  dir = { type = "string", doc = "the working directory, relative to the root" },
  phase = { type = "string", one_of = { "outer", "inner" }, doc = "planning or execution" },
  measures = { type = "boolean", doc = "its outputs are measurements" },
  guide = { type = "path", doc = "the guide whose token it needs" },
  proofs = { type = "paths", doc = "the proofs that its token covers" },
  network = { type = "boolean", doc = "it may reach the network" },
  console = { type = "boolean", doc = "it owns the terminal while it runs" },
  sandbox = { type = "boolean", doc = "false: it runs without the sandbox" },
  always = { type = "boolean", doc = "it runs every time it is asked for" },
  soft_fail = { type = "boolean", doc = "exit status 1 is a result and no failure" },
  device = { type = "boolean", doc = "it may see the accelerators" },
  jobserver = { type = "boolean", doc = "it shares make's jobserver" },
  test = { type = "boolean", doc = "spak test counts it" },
}
builtins.node_shape = node_shape

-- bind calls this when a node's table is not as it should be; it only has to say so.
function builtins.complain(arg)
  shape.check(node_shape, arg, "node")
end

-- Facts are looked up when a node first names one: bind calls this for a node that names some.
function builtins.prepare(arg)
  shape.check(node_shape, { facts = arg.facts }, "node")
  for _, name in ipairs(shape.flatten(arg.facts, "strings", {})) do
    builtins.fact(name, true)
  end
end

function builtins.fact(name, needed)
  if type(name) ~= "string" then
    engine.fail { code = "wrong_argument", message = "`fact` takes a fact's name, not " .. shape.describe(name) }
  end
  local value = engine.fact(name)
  if value == nil and needed then
    local near = shape.nearest(name, engine.facts())
    engine.fail {
      code = "unknown_name",
      message = ("no fact is called \"%s\" on this machine"):format(name),
      word = name,
      hint = near and ("did you mean \"%s\"?"):format(near) or nil,
    }
  end
  return value
end

builtins.node = engine.node_public

-- Calls that are written f "name" { ... }: a name whose table never comes is an error at the end.
local waiting, waiting_order = {}, {}
function builtins.named(who, make)
  return function(name)
    if type(name) ~= "string" or name == "" then
      engine.fail {
        code = "wrong_argument",
        message = ("`%s` takes a name first, not %s"):format(who, shape.describe(name)),
        hint = ("write %s \"name\" { ... }"):format(who),
      }
    end
    local file, line = engine.here()
    local entry = { who = who, name = name, file = file, line = line }
    waiting[entry] = true
    waiting_order[#waiting_order + 1] = entry
    return function(arg)
      waiting[entry] = nil
      return make(name, arg)
    end
  end
end

local target_shape = {
  [1] = { type = "nodes", many = true, doc = "names of nodes and targets, and outputs" },
  default = { type = "boolean", doc = "built when no target is named" },
  show = { type = "path", doc = "a file that is printed when the target is done" },
  doc = { type = "string", doc = "what it is for; without one, the comment or the prose above" },
}
builtins.target = builtins.named("target", function(name, arg)
  shape.check(target_shape, arg, "target")
  local members = {}
  for _, member in ipairs(arg) do
    shape.flatten(member, "nodes", members)
  end
  return engine.add {
    name = name,
    kind = "target",
    after = members,
    target = true,
    default = arg.default or false,
    show = arg.show,
    doc = arg.doc,
  }
end)

local function mark(who, field)
  return function(path)
    if type(path) ~= "string" or path == "" then
      engine.fail { code = "wrong_argument", message = ("`%s` takes a path, not %s"):format(who, shape.describe(path)) }
    end
    return engine.mark { path = path, [field] = true }
  end
end
builtins.dir = mark("dir", "directory")
builtins.traced = mark("traced", "traced")
builtins.metrics = mark("metrics", "metrics")

local glob_shape = {
  [1] = { type = "string", many = true, required = true, doc = "a pattern" },
  except = { type = "strings", doc = "patterns of what to leave out" },
}
function builtins.glob(arg)
  if type(arg) == "string" then
    arg = { arg }
  elseif type(arg) ~= "table" or engine.mark_of(arg) then
    engine.fail { code = "wrong_argument", message = "`glob` takes a pattern, not " .. shape.describe(arg), hint = 'glob "src/*.c"' }
  end
  local spec = shape.apply(glob_shape, arg, "glob")
  local out, seen = {}, {}
  for _, pattern in ipairs(spec) do
    for _, path in ipairs(engine.glob(pattern)) do
      local keep = not seen[path]
      for _, not_this in ipairs(spec.except) do
        keep = keep and not engine.match(not_this, path)
      end
      if keep then
        seen[path] = true
        out[#out + 1] = path
      end
    end
  end
  table.sort(out)
  return out
end

function builtins.read(path)
  if type(path) ~= "string" then
    engine.fail { code = "wrong_argument", message = "`read` takes a path, not " .. shape.describe(path) }
  end
  if path == "out" or path:sub(1, 4) == "out/" then
    engine.fail {
      code = "bad_path",
      message = ("\"%s\" cannot be read here: it is made by a build"):format(path),
      word = path,
      hint = "evaluation comes before every command; let a node read it, or a driver",
    }
  end
  local text = engine.read(path)
  if text == nil then
    engine.fail { code = "bad_include", message = ("there is no file \"%s\""):format(path), word = path,
      hint = "paths are relative to the project's root" }
  end
  return text
end

local given = engine.params()
local asked = { ["spak.steps"] = true }

local function convert(name, text, default)
  if type(default) == "number" then
    return tonumber(text)
  elseif type(default) == "boolean" then
    return ({ ["true"] = true, ["1"] = true, yes = true, ["false"] = false, ["0"] = false, no = false })[text]
  elseif default == nil or type(default) == "string" then
    return text
  end
  engine.fail {
    code = "wrong_argument",
    message = ("the default of the parameter \"%s\" is %s"):format(name, shape.describe(default)),
    word = name,
    hint = "a parameter is a text, a number or true or false",
  }
end

function builtins.param(name, default)
  if type(name) ~= "string" or not name:match "^[%w._-]+$" then
    engine.fail { code = "wrong_argument", message = "`param` takes a name, not " .. shape.describe(name) }
  end
  asked[name] = true
  engine.record_param(name, given[name])
  if given[name] == nil then
    convert(name, "", default)
    return default
  end
  local value = convert(name, given[name], default)
  if value == nil then
    engine.fail {
      code = "bad_param",
      message = ("the parameter \"%s\" has to be %s, not \"%s\""):format(name,
        type(default) == "number" and "a number" or "true or false", given[name]),
      word = name,
      hint = ("-D %s=%s is the default"):format(name, tostring(default)),
    }
  end
  return value
end

-- What a person sets to steer a build, and nothing that differs from machine to machine for other reasons.
local allowed = { "AR", "CC", "CFLAGS", "CPPFLAGS", "CUDA_HOME", "CUDA_PATH", "CXX", "CXXFLAGS", "HOME", "LDFLAGS", "PATH",
  "PKG_CONFIG_PATH" }
function builtins.env(name)
  local ok = type(name) == "string" and name:sub(1, 5) == "SPAK_"
  for _, one in ipairs(allowed) do
    ok = ok or one == name
  end
  if not ok then
    engine.fail {
      code = "closed_environment",
      message = type(name) == "string" and ("the environment variable %s cannot be read here"):format(name)
        or "`env` takes a variable's name, not " .. shape.describe(name),
      word = type(name) == "string" and name or nil,
      hint = "take a parameter, param(\"name\", default); env reads " .. table.concat(allowed, ", ") .. " and SPAK_...",
    }
  end
  return engine.env(name)
end

function builtins.pool(name, depth)
  if type(name) ~= "string" or math.type(depth) ~= "integer" or depth < 1 then
    engine.fail {
      code = "wrong_argument",
      message = "`pool` takes a name and how many may run at once",
      hint = 'pool("link", 2)',
    }
  end
  engine.pool(name, depth)
  return name
end

function builtins.trace_to(where)
  if type(where) ~= "string" or where == "" then
    engine.fail { code = "wrong_argument", message = "`trace_to` takes \"off\" or a path, not " .. shape.describe(where) }
  end
  engine.trace_to(where)
end

local driver_shape = {
  [1] = { type = "string", doc = "its name" },
  name = { type = "string", doc = "its name" },
  doc = node_shape.doc,
  kind = node_shape.kind,
  run = { type = "function", required = true, doc = "called with `ask` while the run is on" },
  inputs = node_shape.inputs,
  order_only = node_shape.order_only,
  after = node_shape.after,
  params = node_shape.params,
  facts = node_shape.facts,
}
function builtins.driver(arg)
  shape.check(driver_shape, arg, "driver")
  if builtins.driving then
    engine.fail { code = "wrong_argument", message = "a driver cannot declare another driver" }
  end
  local decl = {}
  for key, value in next, arg do
    decl[key] = value
  end
  decl.name = arg.name or arg[1]
  if not decl.name then
    engine.fail { code = "wrong_argument", message = "`driver` needs a name", hint = "driver { \"tune\", run = ... }" }
  end
  decl[1] = nil
  decl.run = nil
  decl.driver = arg.run
  return engine.add(decl)
end

function builtins.tool(arg)
  if type(arg) ~= "string" and (type(arg) ~= "table" or engine.mark_of(arg)) then
    engine.fail { code = "wrong_argument", message = "`tool` takes a name or a table, not " .. shape.describe(arg) }
  end
  return tools.tool(arg)
end

function builtins.print(...)
  local out = {}
  for i = 1, select("#", ...) do
    out[i] = builtins.tostring((select(i, ...)))
  end
  engine.note(table.concat(out, "\t"))
end

-- Where the call in the spakfile is, for rules.
function builtins.here()
  local file, line, doc = engine.here()
  return { file = file, line = line, dir = file:match "^(.*)/[^/]*$" or ".", doc = doc }
end

-- A table that all rules share under this name.
local shared = {}
function builtins.shared(name)
  shared[name] = shared[name] or {}
  return shared[name]
end

-- Functions that run when everything is declared, in the order they were given.
local last = {}
function builtins.finally(f)
  if type(f) ~= "function" then
    engine.fail { code = "wrong_argument", message = "`finally` takes a function, not " .. shape.describe(f) }
  end
  local file, line = engine.here()
  last[#last + 1] = { run = f, file = file, line = line }
end

-- For rules: refuses what the user wrote. fail("message", { field = "sources", hint = "..." })
function builtins.fail(message, more)
  more = more or {}
  engine.fail {
    code = more.code or "wrong_argument",
    message = message,
    word = more.field or more.word,
    hint = more.hint,
    blame = "caller",
  }
end

-- The path of a file that lies among the rules, for a node to name: rule_file "step/report.lua".
function builtins.rule_file(name)
  local found = engine.find_rule(name)
  if not found then
    engine.fail { code = "bad_include", message = ("no folder of rules holds \"%s\""):format(name), word = name }
  end
  return found
end

-- What a program of this machine prints; holds while the program is the same. With `status`, a failure is an answer too.
function builtins.probe(arg)
  local text, exit = engine.probe(shape.flatten(arg, "strings", {}))
  if exit ~= 0 and not arg.status then
    engine.fail {
      code = "probe_failed",
      message = ("`%s` ended with %d: %s"):format(table.concat(arg, " "), exit, text:gsub("%s+$", "")),
    }
  end
  return text, exit
end
builtins.watch = engine.watch

function builtins.finish()
  local at = 1
  while at <= #last do
    engine.at(last[at].file, last[at].line)
    last[at].run()
    at = at + 1
  end
  engine.at("", 0)
  for _, entry in ipairs(waiting_order) do
    if waiting[entry] then
      engine.at(entry.file, entry.line)
      engine.fail {
        code = "no_body",
        message = ("`%s \"%s\"` has no table after it"):format(entry.who, entry.name),
        word = entry.name,
        hint = ("write %s \"%s\" { ... }"):format(entry.who, entry.name),
      }
    end
  end
  local names = {}
  for name in next, asked do
    names[#names + 1] = name
  end
  for name in order.pairs(given) do
    if not asked[name] then
      local near = shape.nearest(name, names)
      engine.fail {
        code = "bad_param",
        message = ("nothing asks for the parameter \"%s\""):format(name),
        hint = near and ("did you mean -D %s=...?"):format(near) or "a spakfile asks for it with param(\"" .. name .. "\", default)",
      }
    end
  end
end

return builtins
