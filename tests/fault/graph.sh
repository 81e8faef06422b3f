# Makes the spakfile of a graph of $1 nodes in the current folder: layers of small commands with depfiles, folders, texts, and commands
# that take a moment in which half of their output is written. Sourced.
# shellcheck shell=sh
make_graph() {
    mkdir -p src
    for i in 0 1 2 3 4 5 6 7 8 9; do echo "source $i" >"src/$i"; done
    cat >spakfile <<END
local count = $1
local function path(i) return "out/n/" .. i end
for i = 1, count do
  local source = "src/" .. i % 10
  local inputs = { source }
  if i > 10 then
    inputs[2] = path(i - 10 + i % 3)
    inputs[3] = path(i - 7)
  end
  local text = table.concat(inputs, " ")
  if i % 10 == 0 then
    node { path(i), order_only = inputs, write = "text " .. i }
  elseif i % 7 == 0 then
    node { dir(path(i)), inputs = inputs, shell = true,
      run = "for f in a b c; do cat -- " .. source .. " > " .. path(i) .. "/\$f; sleep 0.00" .. i % 5 .. "; done" }
  elseif i % 5 == 3 then
    node { path(i), inputs = { source }, reads = { "src" }, depfile = path(i) .. ".d", shell = true,
      run = "cat src/3 " .. source .. " > " .. path(i) .. "; echo " .. path(i) .. ": src/3 > " .. path(i) .. ".d" }
  else
    node { path(i), inputs = inputs, shell = true,
      run = "echo half > " .. path(i) .. "; sleep 0.00" .. i % 4 .. "; ls -d " .. text .. " | cat - " .. source .. " >> " .. path(i) }
  end
end
target "all" { path(count) }
END
}

# A line for each file below out/ but the engine's own.
tree_of() {
    (cd out && find . -path ./.spak -prune -o -type f -exec sha256sum {} + | LC_ALL=C sort -k 2)
}
