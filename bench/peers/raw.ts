// usage: node bench/peers/raw.ts PORT UPSTREAM_URL
// The baseline: node:http in front, undici behind, nothing looked at.
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { Pool } from 'undici';

const HOP_BY_HOP = new Set([
  'connection',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const [port, upstream] = process.argv.slice(2);
const pool = new Pool(String(upstream));

createServer(async (req, res) => {
  try {
    const { statusCode, headers, body } = await pool.request({
      path: req.url ?? '/',
      method: req.method ?? 'GET',
      headers: endToEnd(req.headers),
      body: req,
    });
    res.writeHead(statusCode, endToEnd(headers));
    body.on('error', () => res.destroy());
    res.on('close', () => body.destroy());
    body.pipe(res);
  } catch {
    res.writeHead(502).end();
  }
}).listen(Number(port), '127.0.0.1', 4096);

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept: IncomingHttpHeaders = {};
  for (const name in headers) if (!HOP_BY_HOP.has(name)) kept[name] = headers[name];
  return kept;
}
