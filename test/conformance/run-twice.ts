/**
 * Starts and stops a gateway twice and then has nothing left to do. Whether the process ends is what is tested; what
 * it still holds is printed for people.
 */
import { loadConfig } from '../../src/config/load.ts';
import { createGateway } from '../../src/gateway.ts';
import { createSilentLogger } from '../../src/telemetry/logger.ts';

for (let time = 0; time < 2; time++) {
  const config = loadConfig({ env: process.env, cwd: process.cwd(), isTTY: false });
  const gateway = createGateway(config, {
    log: createSilentLogger(),
    onAbort: (error) => {
      throw error;
    },
  });
  const { port } = await gateway.start();
  const response = await fetch(`http://127.0.0.1:${port}/readyz`, { headers: { connection: 'close' } });
  const { plugins } = (await response.json()) as { plugins: Record<string, { state: string }> };
  const idle = Object.entries(plugins).filter(([, { state }]) => state !== 'started');
  if (idle.length > 0) throw new Error(`not started: ${JSON.stringify(idle)}`);
  await gateway.stop();
}
process.stdout.write(`stopped twice\nheld: ${process.getActiveResourcesInfo()}\n`);
