-- A test: a program or a script that exits with 0 when all is well. What it prints is its output, so a test runs again when what it
-- reads has changed, and never otherwise.

local function command(arg)
  if (arg.program == nil) == (arg.run == nil) then
    fail("a test has either a `program` or a command to `run`", {
      field = arg.run and "run",
      hint = 'program = "tests/x.sh", or run = { "python3", "tests/x.py" }',
    })
  end
  return arg.run or { arg.program, arg.args }
end

local function make(arg)
  return node {
    "out/test/" .. arg.name .. ".log",
    name = "test/" .. arg.name,
    doc = arg.doc,
    run = command(arg),
    inputs = { arg.program or {}, arg.inputs },
    reads = arg.reads,
    depfile = arg.depfile,
    tools = arg.tools,
    env = arg.env,
    after = arg.after,
    stdout = "out/test/" .. arg.name .. ".log",
    timeout = arg.timeout,
    pool = arg.pool,
    sandbox = arg.sandbox,
    jobserver = arg.jobserver,
    network = arg.network,
    test = true,
  }
end

return {
  name = "test",
  doc = "A program or a script that exits with 0 when all is well. `spak test` runs and counts it. The node is called test/NAME, what it printed "
    .. "is in out/test/NAME.log.",
  shape = {
    named = true,
    name = { type = "string", doc = "its name; without one, what is given before the table" },
    program = { type = "path", doc = "the program or the executable script" },
    args = { type = "strings", doc = "its arguments" },
    run = { type = "list", doc = "instead of a program, a whole command" },
    inputs = { type = "paths", doc = "the files it reads" },
    reads = { type = "paths", doc = "folders it may read" },
    depfile = { type = "path", doc = "where it writes down what it read of them" },
    tools = { type = "tools", doc = "the programs it runs" },
    env = { type = "map", default = {}, doc = "its environment variables" },
    after = { type = "nodes", doc = "nodes that are done before" },
    timeout = { type = "number", default = 300, doc = "seconds it may take" },
    pool = { type = "string", doc = "the pool that limits how many run at once" },
    sandbox = { type = "boolean", default = true, doc = "false: it runs without the sandbox" },
    jobserver = { type = "boolean", default = false, doc = "it runs make, cargo or spak" },
    network = { type = "boolean", default = false, doc = "it may reach the network" },
    doc = { type = "string", doc = "what it tests; without it, the comment or the prose above" },
  },
  example = [[
use "test"

node { "out/two", write = "2\n" }
test "two" { run = { "grep", "2", "out/two" }, inputs = "out/two" }
]],
  make = make,
}
