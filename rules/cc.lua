-- Programs and libraries in C. Each source is an object of its own, with the headers it read in its depfile.

local function words(text)
  local out = {}
  for word in text:gmatch "%S+" do
    out[#out + 1] = word
  end
  return out
end

-- "lua5.4|lua54|lua": systems name the same module differently, so the first that is there counts.
local function find_module(names)
  for name in names:gmatch "[^|]+" do
    local where, exit = probe { "pkg-config", "--variable=pcfiledir", name, status = true }
    if exit == 0 then
      watch(path.join((where:gsub("%s+$", "")), name .. ".pc"))
      return name
    end
  end
  fail(("pkg-config knows no module \"%s\""):format(names), {
    code = "tool_not_found",
    word = names,
    hint = "install the library's development package, or list other names: pkg = { \"lua5.4|lua\" }",
  })
end

local known = {}

-- Asked once, however many programs use it.
local function module(names)
  if not known[names] then
    local name = find_module(names)
    known[names] = {
      compile = words(probe { "pkg-config", "--cflags", name }),
      link = words(probe { "pkg-config", "--libs", name }),
    }
  end
  return known[names]
end

local function modules(list)
  local compile, link = {}, {}
  for i, names in ipairs(list) do
    compile[i], link[i] = module(names).compile, module(names).link
  end
  return compile, link
end

local function defines(given)
  local out = {}
  for key, value in pairs(type(given) == "table" and given or { given }) do
    if type(key) == "string" then
      value = value == true and key or ("%s=%s"):format(key, value)
    end
    out[#out + 1] = "-D" .. value
  end
  return out
end

local function includes(given)
  local out = {}
  for i, folder in ipairs(given) do
    out[i] = "-I" .. tostring(folder)
  end
  return out
end

-- Every folder that a header may come from: those named, and the sources' own.
local function header_folders(arg)
  local out, seen = {}, {}
  local function add(folder)
    if not seen[folder] then
      seen[folder] = true
      out[#out + 1] = folder
    end
  end
  for _, source in ipairs(arg.sources) do
    add(path.dir(source))
  end
  for _, list in ipairs { arg.headers, arg.includes } do
    for _, folder in ipairs(list) do
      add(tostring(folder))
    end
  end
  table.sort(out)
  return out
end

local made = {}

-- Two programs may share an object, if both compile it in the same way.
local function share(object, decl)
  local signature = json.encode { decl.run, decl.reads, decl.env or {} }
  local before = made[object]
  if before and before.signature ~= signature then
    fail(("\"%s\" is compiled in two ways"):format(object), { hint = "give one of them another objdir", code = "duplicate_output" })
  end
  made[object] = before or { signature = signature, node = node(decl) }
  return made[object].node
end

local function compile(arg, source, flags, reads)
  local object = path.join(arg.objdir, tostring(source) .. ".o")
  return share(object, {
    object,
    inputs = { source, arg.inputs },
    order_only = arg.order_only,
    run = { arg.cc, "-c", source, "-o", object, "-MMD", "-MF", object .. ".d", flags },
    depfile = object .. ".d",
    reads = reads,
    kind = arg.confined and "candidate" or nil,
    phase = arg.confined and "inner" or nil,
    timeout = arg.confined and 300 or nil,
  })
end

local function objects(arg, module_flags)
  local flags = {
    "-ffile-prefix-map=${root}=.",
    arg.std and "-std=" .. arg.std or {},
    arg.kind == "shared" and "-fPIC" or {},
    defines(arg.defines),
    includes(arg.includes),
    module_flags,
    arg.flags,
  }
  local reads, out = header_folders(arg), {}
  for i, source in ipairs(arg.sources) do
    out[i] = compile(arg, source, flags, reads)
  end
  return out
end

-- A library is a name ("m"), an option ("-pthread") or a file, which is an input.
local function libraries(list)
  local flags, files = {}, {}
  for _, lib in ipairs(list) do
    lib = tostring(lib)
    if lib:find "/" and lib:sub(1, 1) ~= "-" then
      files[#files + 1] = lib
      flags[#flags + 1] = lib
    else
      flags[#flags + 1] = lib:sub(1, 1) == "-" and lib or "-l" .. lib
    end
  end
  return flags, files
end

-- `ar` reads what is there before it replaces it, and an output is there, empty, when it shares its folder.
local function archive(arg, objs)
  return node {
    arg[1],
    name = arg.name,
    doc = arg.doc,
    inputs = objs,
    run = { "sh", "-c", 'ar rcsD "$TMPDIR/archive" "$@" && cp "$TMPDIR/archive" "$0"', arg[1], objs },
    tools = { "ar", "cp" },
  }
end

local function link(arg, objs, module_libs)
  local libs, files = libraries(type(arg.libs) == "table" and arg.libs or { arg.libs })
  return node {
    arg[1],
    name = arg.name,
    doc = arg.doc,
    inputs = { objs, files },
    run = { arg.cc, "-o", arg[1], arg.kind == "shared" and "-shared" or {}, objs, arg.ldflags, libs, module_libs },
    kind = arg.confined and "candidate" or nil,
    phase = arg.confined and "inner" or nil,
    timeout = arg.confined and 300 or nil,
  }
end

local function make(arg)
  if not arg[1] and arg.kind ~= "objects" then
    fail(("`cc` needs the path of the %s it makes"):format(arg.kind), { hint = 'cc { "out/bin/x", sources = glob "src/*.c" }' })
  end
  if #arg.sources == 0 then
    fail("`cc` has no sources", { field = "sources", hint = "a glob that matches nothing is an empty list" })
  end
  local stem = arg[1] and tostring(arg[1]):gsub("^out/", "") or "objects"
  arg.objdir = arg.objdir or path.join("out/obj", stem)
  local module_flags, module_libs = modules(arg.pkg)
  local objs = objects(arg, module_flags)
  if arg.kind == "objects" then
    return objs
  elseif arg.kind == "static" then
    return archive(arg, objs)
  end
  return link(arg, objs, module_libs)
end

return {
  name = "cc",
  doc = "A program, a library or objects from C sources. Every source is compiled to OBJDIR/SOURCE.o; headers may come from the "
    .. "sources' own folders, `headers` and `includes`, and those that were read are found in the depfile. Returns the node of what it makes, "
    .. "for kind \"objects\" the list of their nodes.",
  shape = {
    [1] = { type = "path", doc = "what it makes; kind \"objects\" makes none" },
    name = { type = "string", doc = "the node's name; without one, the path" },
    kind = { type = "string", one_of = { "exe", "shared", "static", "objects" }, default = "exe", doc = "what it makes" },
    sources = { type = "paths", required = true, doc = "the C files" },
    headers = { type = "paths", doc = "further folders that headers may be read from" },
    includes = { type = "paths", doc = "folders for -I" },
    flags = { type = "strings", default = { "-O2" }, doc = "further options of the compiler" },
    ldflags = { type = "strings", doc = "further options of the link" },
    defines = { type = "strings|table", default = {}, doc = "{ \"NAME=1\" } or { NAME = 1, OTHER = true }" },
    libs = { type = "strings|paths", default = {}, doc = "names (\"m\"), options (\"-pthread\") and files" },
    pkg = { type = "strings", doc = "modules of pkg-config; \"a|b\" takes the first there is" },
    std = { type = "string", default = "gnu11", doc = "the language's version" },
    inputs = { type = "paths", doc = "files that every source includes and a node makes" },
    order_only = { type = "paths", doc = "files that are made before the first compilation" },
    confined = { type = "boolean", default = false, doc = "nobody trusts the sources: the compiler sees them and itself only, for at most five minutes" },
    objdir = { type = "string", doc = "where the objects go; without it out/obj/ and the path" },
    cc = { type = "string|tools", default = "cc", doc = "the compiler, a tool's name" },
    doc = { type = "string", doc = "what it is; without it, the comment or the prose above" },
  },
  example = [[
use "cc"

node { "out/hello.c", write = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n" }
cc { "out/bin/hello", sources = { "out/hello.c" }, flags = { "-O2", "-Wall" }, defines = { NDEBUG = true } }
target "hello" { "out/bin/hello", default = true }
]],
  make = make,
}
