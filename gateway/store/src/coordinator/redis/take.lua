-- Takes permits of one caller: as many as are wanted, or as many as there are. GCRA, as in `local.rs`: one number, the
-- moment at which the whole burst is back; in microseconds, so that it is a whole number in a double.
-- The time is the server's own: one clock for all nodes. A node whose clock ran ahead would shut the others' callers out.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local room = interval * burst
-- Never further ahead than a burst: if the server's own clock was set back, nobody waits for longer than that.
local back = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now), now + room)
local left = math.floor((now + room - back) / interval)
local taken = math.min(left, wanted)
if taken == 0 then
  return {0, 0, back + interval - (now + room)}
end
back = back + taken * interval
redis.call('SET', KEYS[1], string.format('%.0f', back), 'PX', math.ceil((back - now) / 1000) + 1)
return {taken, left - taken, 0}
