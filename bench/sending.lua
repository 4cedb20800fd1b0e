-- What wrk sends: batches of events with fresh UUIDv7 ids, from many devices of a few signed-in people.
-- Called as: wrk … -s sending.lua URL -- CONFIG, where CONFIG is a Lua file written by receipts.py.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } moment;
  int clock_gettime(int clock, moment *now);
]]

local config, devices, moment
local turn = 0
local format, random, concat = string.format, math.random, table.concat

local function now_ms()
  ffi.C.clock_gettime(0, moment)
  return tonumber(moment.seconds) * 1000 + math.floor(tonumber(moment.nanoseconds) / 1e6)
end

function init(args)
  config = dofile(args[1])
  moment = ffi.new("moment")
  math.randomseed(now_ms() % 2147483647)
  -- Each run has devices of its own: their numbering begins at 1.
  local run = format("%x", now_ms())
  devices = {}
  for at = 1, config.devices do
    local who = config.senders[(at - 1) % #config.senders + 1]
    devices[at] = {
      seq = 0,
      who = who,
      head = format('{"deviceId":"device-%s-%d","generation":1,"events":[', run, at),
    }
  end
end

function request()
  turn = turn % #devices + 1
  local device = devices[turn]
  local who, tails = device.who, device.who.tails
  local stamp = now_ms()
  local high, low = math.floor(stamp / 65536), stamp % 65536
  local events = {}
  for at = 1, config.batch do
    device.seq = device.seq + 1
    events[at] = format('{"id":"%08x-%04x-7%03x-%04x-%06x%06x","seq":%d,%s',
      high, low, random(0, 4095), random(32768, 49151), random(0, 16777215), random(0, 16777215),
      device.seq, tails[random(1, #tails)])
  end
  return wrk.format("POST", wrk.path, who.headers, device.head .. concat(events, ",") .. "]}")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(format(
    'RESULT {"requests":%d,"micros":%d,"refused":%d,"broken":%d,"p50Ms":%.3f,"p99Ms":%.3f}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
