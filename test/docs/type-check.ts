import { execFile } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { tempDir } from '../support/gateway-process.ts';

const ROOT = join(import.meta.dirname, '../..');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** The repository's own strictness, but for what makes no sense in an example. */
const TSCONFIG = {
  extends: join(ROOT, 'tsconfig.json'),
  compilerOptions: {
    paths: { 'routeiq-gateway/plugin': [join(ROOT, 'src/plugin-api/index.ts')] },
    declaration: false,
    isolatedDeclarations: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
  },
  include: ['**/*.ts'],
  exclude: ['**/node_modules'],
};

/** Type-checks files as plugins in a project of their own. Resolves to what tsc prints: nothing when all is well. */
export async function typeCheck(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const dir = tempDir(t, {
    'package.json': '{ "type": "module" }',
    'tsconfig.json': JSON.stringify(TSCONFIG),
    ...files,
  });
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [TSC, '--noEmit', '--pretty', 'false'],
      { cwd: dir },
      (error, stdout, stderr) => resolve(error === null ? '' : `${stdout}${stderr}` || error.message),
    );
  });
}
