---@meta spak
-- What a spakfile and a rule can call, for editors that speak LuaLS. Evaluated by nobody; lua/README.md says what it all means.

---@class spak.Node: string[] what node{} returns: stands for its outputs among paths, for its name among nodes
---@field name string
---@class spak.Path an output with a mark
---@field path string
---@class spak.Tool
---@field name string
---@field path string
---@field version string the first line of what it says of itself
---@field digest string

---@alias spak.path string|spak.Path|spak.Node
---@alias spak.paths spak.path|(spak.path|spak.path[])[]
---@alias spak.nodes string|spak.Node|(string|spak.Node|(string|spak.Node)[])[]
---@alias spak.tools string|spak.Tool|(string|spak.Tool)[]
---@alias spak.words string|(string|number|spak.Node|spak.Path|string[])[]
---@alias spak.map table<string, string|number|boolean>

---@class spak.NodeDecl
---@field [integer] spak.path what it makes
---@field name? string its name; without one, its first output's path
---@field kind? string the word for what it is; without one, the rule's name
---@field doc? string what it is for; without one, the comment or the prose above
---@field run? spak.words|spak.Tool[] the command, the program first
---@field shell? boolean `run` is one text for sh -c
---@field write? string|number the text that is written to its one output
---@field inputs? spak.paths files that the command reads
---@field order_only? spak.paths files that are made before, whose content does not matter
---@field after? spak.nodes nodes that are done before
---@field outputs? spak.paths what it makes, besides what is given by position
---@field stdout? spak.path the output that gets what the command prints
---@field depfile? spak.path where the command writes down what it read, as make does
---@field reads? spak.paths folders that it may read, the depfile saying what it did read
---@field env? spak.map environment variables
---@field params? spak.map values that belong to its key and its trace
---@field facts? string|string[] facts of the machine that its result depends on
---@field tools? spak.tools programs it runs besides the first
---@field pool? string the pool that limits how many run at once
---@field timeout? number seconds, after which it is stopped and has failed
---@field dir? string the working directory, relative to the root
---@field phase? "outer"|"inner" planning or execution
---@field measures? boolean its outputs are measurements
---@field guide? spak.path the guide whose token it needs
---@field proofs? spak.paths the proofs that its token covers
---@field network? boolean it may reach the network
---@field console? boolean it owns the terminal while it runs
---@field sandbox? boolean false: it runs without the sandbox
---@field always? boolean it runs every time it is asked for
---@field soft_fail? boolean exit status 1 is a result and no failure
---@field device? boolean it may see the accelerators
---@field jobserver? boolean it shares make's jobserver
---@field test? boolean spak test counts it

---Declares a node: outputs, inputs, and a command or a text that makes the first from the second.
---@param decl spak.NodeDecl
---@return spak.Node
function node(decl) end

---@class spak.TargetDecl
---@field [integer] spak.nodes names of nodes and targets, and outputs
---@field default? boolean built when no target is named
---@field show? spak.path a file that is printed when the target is done
---@field doc? string what it is for; without one, the comment or the prose above

---Names nodes: target "name" { members... }. A target has a trace in git.
---@param name string
---@return fun(decl: spak.TargetDecl): spak.Node
function target(name) end

---Loads rules: use "cc" "test".
---@param names string|string[]
---@return fun(names: string|string[])
function use(names) end

---Evaluates another file, once, and returns its value. The path is relative to the root.
---@param path string
---@return any
function include(path) end

---@class spak.Field
---@field type? string "string", "paths", "string|number" ...
---@field required? boolean
---@field default? any
---@field one_of? any[]
---@field many? boolean of the key 1: any number by position
---@field doc? string
---@class spak.Rule
---@field name string
---@field doc? string
---@field shape table<string|integer, spak.Field|boolean> `named = true`: called rule "name" { ... }
---@field example? string
---@field gives? table<string, function>
---@field make fun(arg: table): any

---Defines a rule in place.
---@param rule spak.Rule
---@return function
function rule(rule) end

---The files that match, sorted: *, ?, [a-z], {a,b}, and ** for any number of folders. Does not see out/.
---@param pattern string|{ [integer]: string, except: string|string[] }
---@return string[]
function glob(pattern) end

---The text of a source.
---@param path string
---@return string
function read(path) end

---What -D name=value says, in the type of the default.
---@generic T: string|number|boolean|nil
---@param name string
---@param default? T
---@return T
function param(name, default) end

---A fact of this machine: "os", "arch", "cores", "cpu.model", "gpu.count" ...
---@param name string
---@return string?
function fact(name) end

---An environment variable that people steer builds with: CC, CFLAGS, CUDA_HOME, HOME, PATH, SPAK_...
---@param name string
---@return string?
function env(name) end

---@class spak.ToolDecl
---@field [1]? string its name
---@field name? string what commands call it
---@field find? string|string[] names or absolute paths, tried in order
---@field version? string|string[] arguments that make it print its version
---@field check? string|string[] arguments on which a candidate has to exit with 0 to count
---@field parts? string[][] arguments, each of which makes it print the path of a further file it is made of
---@field from? spak.path an output of this project: the tool is built here
---@field optional? boolean a missing tool is nil

---Finds or declares a program that commands run.
---@param decl string|spak.ToolDecl
---@return spak.Tool?
function tool(decl) end

---Of the nodes in this pool at most `depth` run at once.
---@param name string
---@param depth integer
---@return string
function pool(name, depth) end

---Marks an output as a folder with all that is in it.
---@param path string
---@return spak.Path
function dir(path) end
---Marks a small text that the trace keeps whole.
---@param path string
---@return spak.Path
function traced(path) end
---Marks a JSON file of metrics, which the trace's summary comes from.
---@param path string
---@return spak.Path
function metrics(path) end

---@class spak.Result
---@field exit integer
---@field status string
---@field name string
---@field read fun(path?: spak.path): string an output's text, without a path the first one's
---@class spak.DriverDecl
---@field [1]? string its name
---@field name? string
---@field run fun(ask: fun(what: spak.NodeDecl|spak.Node|(spak.NodeDecl|spak.Node)[]): spak.Result|spak.Result[])
---@field kind? string
---@field doc? string
---@field inputs? spak.paths
---@field order_only? spak.paths
---@field after? spak.nodes
---@field params? spak.map
---@field facts? string|string[]

---Declares a node that asks for more nodes while the run is on.
---@param decl spak.DriverDecl
---@return spak.Node
function driver(decl) end

---Where the trace goes: "off", or the path of a repository.
---@param where string
function trace_to(where) end

---The place of the call in the spakfile.
---@return { file: string, line: integer, dir: string, doc: string }
function here() end

path = {}
---@param ... string|spak.Node
---@return string
function path.join(...) end
---"a/b.c" -> "b.c"
---@return string
function path.base(p) end
---"a/b.c" -> "a"
---@return string
function path.dir(p) end
---"a/b.c" -> ".c"
---@return string
function path.ext(p) end
---"a/b.c" -> "b"
---@return string
function path.stem(p) end

json = {}
---Canonical JSON on one line.
---@return string
function json.encode(value) end
---Canonical JSON, indented.
---@return string
function json.pretty(value) end
---@param text string
---@return any
function json.decode(text) end
---Marks a table, even an empty one, as an array.
---@generic T: table
---@param list T
---@return T
function json.array(list) end

-- Rules only.

---Refuses what the user wrote, at the place of the call.
---@param message string
---@param more? { field?: string, word?: string, hint?: string, code?: string }
function fail(message, more) end
---A table that all rules see under this name.
---@param name string
---@return table
function shared(name) end
---Calls f when everything is declared.
---@param f fun()
function finally(f) end
---The path of a file that lies among the rules.
---@param name string
---@return string
function rule_file(name) end
---What a program of this machine prints, and its exit status.
---@param argv { [integer]: string, status?: boolean }
---@return string text, integer exit
function probe(argv) end
---The graph depends on this file.
---@param path string
function watch(path) end
