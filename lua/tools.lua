-- Programs that commands run: how each is found, asked for its version, and what files make it up.
local shape = import "shape"

local tools = {}

-- A compiler driver is only the first of several programs.
local gcc_parts = { { "-print-prog-name=cc1" }, { "-print-prog-name=collect2" }, { "-print-prog-name=as" }, { "-print-prog-name=ld" } }
local gxx_parts = { { "-print-prog-name=cc1plus" }, { "-print-prog-name=collect2" }, { "-print-prog-name=as" }, { "-print-prog-name=ld" } }
local clang_parts = { { "-print-prog-name=ld" } }
local version = { "--version" }

-- What is known about common tools; any other name is looked for along PATH and not asked for a version.
local known = {
  cc = { find = { "cc", "gcc", "clang" }, version = version, parts = gcc_parts },
  gcc = { version = version, parts = gcc_parts },
  clang = { version = version, parts = clang_parts },
  ["c++"] = { find = { "c++", "g++", "clang++" }, version = version, parts = gxx_parts },
  ["g++"] = { version = version, parts = gxx_parts },
  ["clang++"] = { version = version, parts = clang_parts },
  ar = { version = version },
  ld = { version = version },
  git = { version = version },
  python3 = { version = version },
  make = { version = version },
  cmake = { version = version },
  nvcc = { version = version },
  cargo = { version = version },
  rustc = { version = version },
}

-- Name of a command to path: bind looks here first, for each command.
tools.commands = {}
local declared = {}

local tool_shape = {
  [1] = { type = "string", doc = "the tool's name" },
  name = { type = "string", doc = "what commands call it" },
  find = { type = "strings", doc = "names or absolute paths, tried in order; without it the name itself" },
  version = { type = "strings", doc = "arguments that make it print its version" },
  check = { type = "strings", doc = "arguments on which a candidate has to exit with 0 to count" },
  parts = { type = "list", doc = "lists of arguments; each makes it print the path of a further file it is made of" },
  from = { type = "path", doc = "an output of this project: the tool is built here" },
  optional = { type = "boolean", default = false, doc = "a missing tool is nil, no error" },
}

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for k, v in next, a do
    if not same(v, b[k]) then
      return false
    end
  end
  for k in next, b do
    if a[k] == nil then
      return false
    end
  end
  return true
end

local function missing(spec)
  local list = table.concat(spec.find, ", ")
  engine.fail {
    code = "tool_not_found",
    message = ("the tool \"%s\" is not on this machine"):format(spec.name),
    word = spec.name,
    hint = spec.check and ("none of these is there and passes its check: %s"):format(list)
      or ("install one of these, or name another with tool { name = %q, find = { ... } }: %s"):format(spec.name, list),
  }
end

local function find(spec, optional)
  local found = engine.find_tool(spec)
  if not found and not optional then
    missing(spec)
  end
  if found then
    tools.commands[spec.name] = found.path
  end
  return found
end

-- Declares a tool once; a second declaration has to say the same.
local function declare(spec, optional)
  local before = declared[spec.name]
  if before then
    if not same(before.spec, spec) then
      engine.fail {
        code = "duplicate_name",
        message = ("the tool \"%s\" is declared twice, with different fields"):format(spec.name),
        word = spec.name,
        hint = "a tool that a command has named is declared by that; declare it before",
      }
    end
    if not before.found and not optional then
      missing(spec)
    end
    return before.found
  end
  local found
  if spec.from then
    found = engine.built_tool(spec.name, spec.from)
    tools.commands[spec.name] = found.path
  else
    found = find(spec, optional)
  end
  declared[spec.name] = { spec = spec, found = found }
  return found
end

local function known_spec(name)
  local k = known[name] or {}
  return { name = name, find = k.find or { name }, version = k.version, parts = k.parts, check = k.check }
end

-- The tool behind a command's name.
function tools.resolve(name, optional)
  local before = declared[name]
  if before and (before.found or optional) then
    return before.found
  end
  return declare(known_spec(name), optional)
end

function tools.tool(arg)
  if type(arg) == "string" then
    return tools.resolve(arg)
  end
  local spec = shape.apply(tool_shape, arg, "tool")
  local name = spec.name or spec[1]
  if not name then
    engine.fail { code = "wrong_argument", message = "`tool` needs a name", hint = 'tool { name = "cc", ... }' }
  end
  local base = known_spec(name)
  local out = {
    name = name,
    find = #spec.find > 0 and spec.find or base.find,
    version = #spec.version > 0 and spec.version or base.version,
    parts = spec.parts or base.parts,
    check = #spec.check > 0 and spec.check or nil,
  }
  if spec.from then
    out = { name = name, from = tostring(spec.from) }
  end
  return declare(out, spec.optional)
end

return tools
