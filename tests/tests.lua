-- The tests of the project, each a node: what nothing has changed for has passed already.
-- A test whose tool is not on this machine is left out, and a test in its place says so (exit status 77).

local names = {}

local function declare(name, what)
  names[#names + 1] = "test/" .. name
  return test(name)(what)
end

-- The name of a file without its folder and its ending.
local function stem(file)
  return file:match "([^/]+)%.%w+$"
end

-- True when the tool is here; else there is a skipped test called `group`.
local function have(name, group)
  if tool { name = name, version = { "--version" }, optional = true } then
    return true
  end
  declare(group .. "/skipped", { run = { "sh", "-c", "echo 'there is no " .. name .. " on this machine' >&2; exit 77" } })
  return false
end

local function flatten(...)
  local out = {}
  for _, list in ipairs { ... } do
    for _, item in ipairs(list) do
      out[#out + 1] = item
    end
  end
  return out
end

-- These try what a sandbox is, or what lies around a repository; inside of both there is nothing to try.
local unconfined = { sandbox = true, loops = true, sandbox_refusals = true, os_proc = true, os_proc_end = true, trace = true, trace_measure = true,
  trace_message = true, trace_read = true,
  trace_repo = true, trace_source = true, trace_pack = true, trace_named = true, trace_bundle = true, crate = true, repro_measure = true,
  signed = true, export = true, trace_places = true, trace_since = true, trace_git = true, trace_verbs = true, diff = true,
  repro = true, reproduce_run = true, reproduce_measure = true, bit_identity = true, hostile_trace = true }

-- What a test of a part of a runner brings, where that is not the runner's whole.
local study = glob "src/runner/study*.c"
local parts = { study = study, gpu_plan = flatten({ "src/runner/gpu/plan.c" }, study) }

-- One program a module: tests/unit/test_<module>.c against the library; those of a runner bring its sources.
local function unit_tests(project, way)
  for _, source in ipairs(glob "tests/unit/test_*.c") do
    local name = stem(source):gsub("^test_", "")
    local sources = flatten({ source }, parts[name] or {})
    for runner, files in pairs(parts[name] and {} or project.runners) do
      for _, file in ipairs(name:match("^" .. runner) and files or {}) do
        if stem(file) ~= runner then
          sources[#sources + 1] = file
        end
      end
    end
    local program = project.compile(way, {
      ("out/unit/%s/test_%s"):format(way.name, name),
      sources = sources,
      libs = { way.library, "cmocka" },
    })
    declare(("unit/%s/%s"):format(way.name, name), {
      program = program,
      inputs = name:match "^script" and glob { "lua/**", "rules/**" } or {},
      reads = name:match "^script" and { "lua", "rules" } or {},
      sandbox = not unconfined[name],
      timeout = 120,
    })
  end
end

-- The parsers against bytes that nobody wrote, always under the sanitizers.
local function fuzz_tests(project, way)
  for _, source in ipairs(glob "tests/fuzz/fuzz_*.c") do
    local name = stem(source)
    local program = project.compile(way, {
      "out/fuzz/" .. name,
      sources = { source, "tests/fuzz/main.c" },
      libs = { way.library },
    })
    declare("fuzz/" .. name:gsub("^fuzz_", ""), {
      program = program,
      reads = name == "fuzz_spakfile" and { "lua", "rules" } or {},
      inputs = name == "fuzz_spakfile" and glob { "lua/**", "rules/**" } or {},
      timeout = 300,
    })
  end
end

local function all_ways(project)
  unit_tests(project, project.gcc)
  local checked = {
    name = "asan",
    cc = "cc",
    flags = { "-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all" },
    ldflags = { "-fsanitize=address,undefined" },
  }
  checked.library = project.library(checked)
  unit_tests(project, checked)
  fuzz_tests(project, checked)
  if have("clang", "unit/clang") then
    local clang = { name = "clang", cc = "clang", flags = { "-O1", "-Werror" } }
    clang.library = project.library(clang)
    unit_tests(project, clang)
    project.compile(clang, { "out/unit/clang/spak", sources = { "src/main.c", project.verbs }, libs = { clang.library } })
    for name, sources in pairs(project.runners) do
      project.compile(clang, { "out/unit/clang/spak-" .. name, sources = sources, libs = { clang.library } })
      names[#names + 1] = "out/unit/clang/spak-" .. name
    end
    names[#names + 1] = "out/unit/clang/spak"
  end
end

-- What a spak needs to run anywhere: the programs and the language.
local spak = { "out/bin/spak", "out/bin/spak-cpu", "out/bin/spak-lua", "out/bin/spak-prove", glob { "lua/**", "rules/**" } }
local environment = {
  SPAK = "${root}/out/bin/spak",
  SPAK_CPU = "${root}/out/bin/spak-cpu",
  SPAK_LUA = "${root}/out/bin/spak-lua",
  SPAK_PROVE = "${root}/out/bin/spak-prove",
}

local function command_line_tests(project)
  local more = glob { "README.md", "tests/bench/*", "invariants/*", "tests/cheats/*", "tests/fault/*", "src/runner/*.h" }
  local tarball = { dist = project.tarball }
  local compiled = { bit_identity = glob { "kernels/**", "src/runner/**" }, runner_gpu = { glob "tests/cheats/gpu/*", project.gpu }, chooses = { project.gpu } }
  environment.SPAK_GPU = project.gpu and "${root}/" .. project.gpu
  -- By hand: kill9.sh, a thousand kills take an hour (tests/cli/engine_crash.sh has forty of them), and fresh_clone.sh, which builds all.
  local by_hand = { "tests/cli/lib.sh", "tests/fault/kill9.sh", "tests/fault/graph.sh", "tests/fault/fresh_clone.sh" }
  for _, script in ipairs(glob { "tests/cli/*.sh", "tests/fault/*.sh", except = by_hand }) do
    local name = stem(script)
    declare(path.dir(script):match "[^/]+$" .. "/" .. name, {
      run = { "sh", script },
      inputs = { script, "tests/cli/lib.sh", spak, more, tarball[name] or {}, compiled[name] or {} },
      reads = { "lua", "rules", "invariants" },
      tools = { "python3", "git", "cc" },
      env = name == "dist" and { SPAK = environment.SPAK, DIST = "${root}/" .. project.tarball } or environment,
      sandbox = not unconfined[name],
    })
  end
  for _, case in ipairs(glob "tests/golden/*/spakfile") do
    local folder = path.dir(case)
    declare("golden/" .. folder:match "[^/]+$", {
      run = { "sh", "tests/golden/run.sh", folder },
      inputs = { "tests/golden/run.sh", glob(folder .. "/**"), spak },
      reads = { folder, "lua", "rules" },
      tools = "git",
      env = environment,
    })
  end
end

local function self_tests(project)
  local sources = flatten(project.engine, { "src/main.c" }, project.verbs, project.headers, glob "src/runner/*.c")
  local text = glob { "*", "src/**", "lua/**", "rules/**", "kernels/**", "invariants/**", "tests/**", ".ci/*", except = { "LICENSE", "kernels/*/published/*" } }
  local code = {}
  for _, file in ipairs(sources) do
    if file:match "%.[ch]$" then
      code[#code + 1] = file
    end
  end
  local function check(name, script, ...)
    declare("self/" .. name, { run = { "python3", script, ... }, inputs = { script, ... }, tools = "python3" })
  end
  check("layers", "tests/self/layers.py", "src/README.md", code)
  check("names", "tests/self/names.py", text)
  local top, seen = {}, {}
  for _, file in ipairs(glob { "*", "*/*", "*/*/*" }) do
    local name = file:match "^[^/]+"
    top[#top + 1] = not seen[name] and name or nil
    seen[name] = true
  end
  declare("self/top_level", { run = { "python3", "tests/self/top_level.py", top }, inputs = "tests/self/top_level.py" })
  declare("self/layers_test", { run = { "sh", "tests/self/layers_test.sh" }, inputs = { "tests/self/layers_test.sh", "tests/self/layers.py" } })
  local tables = { "tests/cheats/README.md", "tests/cheats/scale.c", "tests/cheats/gpu/scale.cu", "tests/cli/runner_gpu.sh",
    "tests/cli/protocol.sh", "tests/cli/loops.sh", "tests/cli/reproduce_measure.sh", "tests/cli/invariant_rule.sh" }
  check("cheats", "tests/self/cheats.py", tables)
  check("goldens", "tests/self/goldens.py", "src/codes.def", glob "tests/golden/*/expected")
  local h = glob { "src/*.h", "src/cmd/*.h", "src/runner/*.h" }
  declare("self/headers", {
    run = { "sh", "tests/self/headers.sh", "cc", "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Isrc", "-I/usr/include/lua5.4", "--", h },
    inputs = { "tests/self/headers.sh", project.headers },
    tools = "cc",
  })
  declare("self/rules_manual", {
    run = { "cmp", "out/manual/rules.md", "rules/README.md" }, inputs = { "out/manual/rules.md", "rules/README.md" },
    doc = "copy out/manual/rules.md to rules/README.md when a rule has changed",
  })
  local objects = {}
  for i, source in ipairs(flatten(project.engine, { "src/main.c" }, project.verbs)) do
    objects[i] = ("out/obj/gcc/%s.o"):format(source)
  end
  declare("self/state", { run = { "sh", "tests/self/state.sh", objects }, inputs = { "tests/self/state.sh", objects } })
  local all = flatten(text, { "LICENSE" })
  declare("self/stages", {
    run = { "sh", "tests/self/stages.sh", "out/bin", all },
    inputs = { "tests/self/stages.sh", spak, project.gpu or {}, all },
    tools = { "cc", "python3" },
    timeout = 600,
  })
end

-- Everybody's taste is a tool's: formatting, and the faults that a compiler does not look for.
local function lint(project)
  local c = flatten(project.engine, { "src/main.c" }, project.verbs, glob { "src/**/*.h", "src/runner/**/*.c", "tests/**/*.[ch]", "kernels/**/*.[ch]" })
  if have("clang-format", "lint/format") then
    for _, file in ipairs(c) do
      declare("lint/format/" .. file, { run = { "clang-format", "--dry-run", "-Werror", file }, inputs = { ".clang-format", file } })
    end
  end
  if have("clang-tidy", "lint/tidy") then
    for _, file in ipairs(flatten(project.engine, { "src/main.c" }, project.verbs, glob "src/runner/*.c")) do
      local depfile = ("out/lint/%s.d"):format(file)
      declare("lint/tidy/" .. file, {
        run = { "sh", "tests/self/tidy.sh", file, depfile, "out/test/lint/tidy/" .. file .. ".log" },
        inputs = { "tests/self/tidy.sh", ".clang-tidy", file },
        reads = "src",
        depfile = depfile,
        tools = { "clang-tidy", "cc" },
      })
    end
  end
  if have("luacheck", "lint/lua") then
    for _, file in ipairs(glob { "spakfile", "lua/**/*.lua", "rules/**/*.lua", "tests/*.lua" }) do
      declare("lint/lua/" .. file, { run = { "luacheck", "--no-color", "--no-cache", "-q", file }, inputs = { ".luacheckrc", file } })
    end
  end
  if have("shellcheck", "lint/shell") then
    for _, file in ipairs(glob { "bootstrap.sh", ".ci/run", "rules/**/*.sh", "kernels/*.sh", "tests/**/*.sh" }) do
      declare("lint/shell/" .. file, { run = { "shellcheck", file }, inputs = { ".shellcheckrc", "tests/cli/lib.sh", glob "tests/fault/*.sh", file } })
    end
  end
end

return function(project)
  all_ways(project)
  command_line_tests(project)
  self_tests(project)
  lint(project)
  target "test" { names }
end
