-- A tarball that runs where it is unpacked: programs, the shared libraries they need beyond the C library, and files beside them.

local function make(arg)
  local out = tostring(arg[1])
  local stem = out:match "([^/]+)%.tar%.gz$"
  if not stem then
    fail(("\"%s\" is no name of a tarball"):format(out), { hint = 'dist { "out/dist/x-1.0.tar.gz", ... }' })
  end
  local files, step = {}, rule_file "step/dist.sh"
  for _, file in ipairs(arg.files) do
    files[#files + 1] = tostring(file)
  end
  table.sort(files)
  return node {
    out,
    name = arg.name,
    kind = "dist",
    doc = arg.doc,
    inputs = { step, arg.programs, files },
    run = { "sh", step, out, stem, out .. ".d", arg.programs, "--", files },
    depfile = out .. ".d",
    tools = { "ldd", "tar", "gzip" },
  }
end

return {
  name = "dist",
  doc = "A tarball that runs where it is unpacked, the same bytes for the same content: NAME/bin with the programs, NAME/lib with the shared libraries "
    .. "that they need beyond the C library, and the files under their own paths. Link the programs with -Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib.",
  shape = {
    [1] = { type = "path", required = true, doc = "the tarball; its name without .tar.gz is the folder in it" },
    name = { type = "string", doc = "the node's name; without one, the path" },
    programs = { type = "paths", required = true, doc = "what goes to bin/" },
    files = { type = "paths", default = {}, doc = "what keeps its path" },
    doc = { type = "string", doc = "what it is; without it, the comment or the prose above" },
  },
  example = [[
use "cc" "dist"

node { "out/hello.c", write = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n" }
cc { "out/bin/hello", sources = { "out/hello.c" }, ldflags = { "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib" } }
target "dist" { dist { "out/dist/hello-1.0.tar.gz", programs = { "out/bin/hello" } } }
]],
  make = make,
}
