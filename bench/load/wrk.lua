-- What wrk is to do beyond its options: connect to this machine whatever the name, send a body where one is asked for, print figures as JSON.
-- Argument: bytes of the body, 0 for GET.

wrk.resolve = function(_, service)
  wrk.addrs = wrk.lookup("127.0.0.1", service)
end

function init(args)
  local bytes = tonumber(args[1])
  if bytes > 0 then
    wrk.method = "POST"
    wrk.body = string.rep("x", bytes)
  end
end

function done(summary, latency)
  local errors = summary.errors
  local line = '{"count":%d,"seconds":%f,"p50Ms":%f,"p95Ms":%f,"p99Ms":%f,"failed":%d}\n'
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local at = function(share) return latency:percentile(share) / 1000 end
  io.write(string.format(line, summary.requests, summary.duration / 1000000, at(50), at(95), at(99), failed))
end
