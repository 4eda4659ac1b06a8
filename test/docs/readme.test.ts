import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { describeDefault, VARIABLE_DOCS } from '../../src/config/variables.ts';
import { ERRORS } from '../../src/errors.ts';
import { tableBelow } from './markdown.ts';

const README = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');

describe('README', () => {
  it('has every variable with its meaning and default', () => {
    const documented = tableBelow(README, '## Configuration');
    const actual = VARIABLE_DOCS.map((row) => [row.name, row.meaning, describeDefault(row)]);
    assert.deepEqual(documented, actual);
  });

  it('has every error code with its status', () => {
    const documented = tableBelow(README, '## Errors').map(([code, status]) => [code, Number(status)]);
    const actual = Object.entries(ERRORS).map(([code, { status }]) => [code, status]);
    assert.deepEqual(documented.sort(), actual.sort());
  });

  it('shows a first plugin in under 20 lines', () => {
    const plugin = /```ts plugins\/greet\.ts\n([\s\S]*?)```/.exec(README)?.[1] ?? '';
    const lines = plugin.trimEnd().split('\n').length;
    assert.ok(lines > 5 && lines < 20, `${lines} lines`);
  });
});
