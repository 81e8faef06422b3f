-- Driver nodes: a function that asks for more nodes while the run is on.
local shape = import "shape"
local builtins = import "builtins"

local driver = {}

-- A handle as it is, a table as the declaration of a node.
local function declare(item)
  local node = engine.mark_of(item) == "node" and item or builtins.node(item)
  if not node.id then
    engine.fail {
      code = "wrong_argument",
      message = ("\"%s\" was declared before the run and cannot be asked for"):format(node.name),
      hint = "name it in the driver's inputs or after; ask declares new nodes",
    }
  end
  return node
end

local function reader(node)
  return function(path)
    path = path and tostring(path) or node[1]
    for _, output in ipairs(node) do
      if output == path then
        return engine.output(path)
      end
    end
    engine.fail { code = "bad_path", message = ("\"%s\" is no output of \"%s\""):format(tostring(path), node.name) }
  end
end

local function outcome(node, results)
  for _, r in ipairs(results) do
    if r.node == node.id then
      return { exit = r.exit, status = r.status, name = node.name, read = reader(node) }
    end
  end
  return { exit = -1, status = "unknown", name = node.name, read = reader(node) }
end

-- One declaration, or a list of them that run side by side; returns when they are done.
local function ask(what)
  if type(what) ~= "table" then
    engine.fail { code = "wrong_argument", message = "`ask` takes a node or a list of nodes, not " .. shape.describe(what) }
  end
  local many = not engine.mark_of(what) and type(what[1]) == "table" and engine.mark_of(what[1]) ~= "path"
  local nodes, ids = {}, {}
  for i, item in ipairs(many and what or { what }) do
    nodes[i] = declare(item)
    ids[i] = nodes[i].id
  end
  local results = coroutine.yield(ids)
  local out = {}
  for i, node in ipairs(nodes) do
    out[i] = outcome(node, results)
  end
  return many and out or out[1]
end

function driver.run(f)
  builtins.driving = true
  f(ask)
end

return driver
