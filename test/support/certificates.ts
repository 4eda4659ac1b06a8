import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The reason to skip, `false` when certificates can be made. Node can read them, but makes none. */
export const WITHOUT_OPENSSL: string | false =
  spawnSync('openssl', ['version']).status === 0
    ? false
    : 'openssl is not installed (Debian: apt install openssl)';

/** Paths of PEM files. */
export interface Certificate {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * A server's certificate, and the authority of its own that has signed it, in a new temporary folder.
 *
 * @param subject as X.509 has it, for example `IP:127.0.0.1` or `DNS:localhost`
 */
export function createCertificate(subject: string): Certificate {
  const dir = mkdtempSync(join(tmpdir(), 'routeiq-tls-'));
  const at = (name: string): string => join(dir, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-subj',
    '/CN=test-ca',
    '-days',
    '2',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
  );
  openssl('req', ...newKey, '-subj', '/CN=test', '-keyout', at('key.pem'), '-out', at('csr.pem'));
  writeFileSync(at('san'), `subjectAltName=${subject}\n`);
  const signed = [
    '-CA',
    at('ca.pem'),
    '-CAkey',
    at('ca.key'),
    '-CAcreateserial',
    '-extfile',
    at('san'),
    '-days',
    '2',
  ];
  openssl('x509', '-req', '-in', at('csr.pem'), ...signed, '-out', at('cert.pem'));
  return { ca: at('ca.pem'), cert: at('cert.pem'), key: at('key.pem') };
}

function openssl(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('openssl', args);
  if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}
