-- What wrk sends: the body of a workload with a new key in every request, one thread, one Lua state.
-- Request n of N connections belongs to device n % N and is that device's turn n / N, counted from `first`.
-- `bodies.py` fills the same template by the same rule.

local pieces, names, head
local devices, turn, device, base, run

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- args: template, content type, length of a filled body, connections, first turn, base (Unix s), run (hex), path
function init(args)
  local text = read(args[1])
  pieces, names = {}, {}
  local at = 1
  while true do
    local from, to, name = text:find("@([A-Z]+)@", at)
    if not from then break end
    pieces[#pieces + 1] = text:sub(at, from - 1)
    names[#names + 1] = name
    at = to + 1
  end
  pieces[#pieces + 1] = text:sub(at)
  head = "POST " .. args[8] .. " HTTP/1.1\r\nHost: gateway\r\nContent-Type: " .. args[2]
    .. "\r\nContent-Length: " .. args[3] .. "\r\n\r\n"
  pieces[1] = head .. pieces[1]
  devices, turn, base, run = tonumber(args[4]), tonumber(args[5]), tonumber(args[6]), args[7]
  device = -1
end

local make = {
  SERIAL = function() return string.format("%05d", device) end,
  UNIX = function() return string.format("%010d", base + 60 * turn) end,
  SENT = function() return string.format("%010d", base + 60 * turn + 57) end,
  DATE = function() return os.date("!%Y-%m-%d", base + 60 * turn) end,
  START = function() return os.date("!%H:%M:%S", base + 60 * turn) end,
  END = function() return os.date("!%H:%M:%S", base + 60 * turn + 60) end,
  ENTERS = function() return tostring(turn % 10) end,
  NOW = function() return string.format("%010d", os.time()) end,
  UUID = function() return string.format("%s-%04x-4000-8000-%012x", run, device, turn) end,
}

function request()
  device = device + 1
  if device == devices then
    device = 0
    turn = turn + 1
  end
  local out = {}
  for i = 1, #names do
    out[2 * i - 1] = pieces[i]
    out[2 * i] = make[names[i]]()
  end
  out[2 * #names + 1] = pieces[#pieces]
  return table.concat(out)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nBENCH {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p90_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, '
      .. '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, e.connect, e.read, e.write, e.status, e.timeout))
end
