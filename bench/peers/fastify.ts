// usage: node bench/peers/fastify.ts PORT UPSTREAM_URL PACKAGES_DIR
// Fastify with its own proxy plugin: the fastest framework of the Node world as a gateway without LLM features.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [port, upstream, packages] = process.argv.slice(2);
const require = createRequire(join(String(packages), 'index.js'));
const app = require('fastify')();
app.register(require('@fastify/http-proxy'), { upstream });
app.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
