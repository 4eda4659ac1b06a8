import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadYaml } from './workspace.ts';

const TEXT = readFileSync(join(import.meta.dirname, 'fixtures/litellm-documented.yaml'), 'utf8');
const SECRETS = ['sk-1234', 'user:secret', 'pk-lf-secret', 'sk-of-'];
const ENV = {
  AZURE_API_KEY_EU: 'sk-of-azure',
  OPENAI_API_KEY: 'sk-of-openai',
  ANTHROPIC_API_KEY: 'sk-of-anthropic',
};

describe("a file with the settings of LiteLLM's documentation", () => {
  it('loads', (t) => {
    const { deployments } = loadYaml(t, TEXT, ENV);
    assert.deepEqual(
      deployments.map(({ id, provider, model }) => [id, provider, model]),
      [
        ['gpt-4o/0', 'azure', 'gpt-4o-eu'],
        ['gpt-4o/1', 'openai', 'gpt-4o'],
        ['claude/0', 'anthropic', 'claude-sonnet-4-5'],
        ['vllm-models/0', 'openai', 'facebook/opt-125m'],
        ['bedrock-claude/0', 'bedrock', 'anthropic.claude-instant-v1'],
        ['anthropic/*/0', 'anthropic', '*'],
      ],
    );
  });

  it('has every setting that is not supported named with its line, and no other', (t) => {
    const marked = TEXT.split('\n').flatMap((line, index) =>
      line.endsWith('# not supported') ? [index + 1] : [],
    );
    const { warnings } = loadYaml(t, TEXT, ENV);
    const named = warnings.map((warning) => Number(/^gateway\.yaml:(\d+):/.exec(warning)?.[1]));
    assert.deepEqual(
      named.toSorted((a, b) => a - b),
      marked,
    );
    for (const [index, line] of named.entries()) {
      const key = /^[\s-]*"?([\w*/]+)"?:/.exec(TEXT.split('\n')[line - 1] ?? '')?.[1] ?? '';
      assert.ok(warnings[index]?.includes(key), `${warnings[index]} does not name ${key}`);
    }
  });

  it('shows no secret in what it says', (t) => {
    const said = loadYaml(t, TEXT, ENV).warnings.join('\n');
    for (const secret of SECRETS) assert.ok(!said.includes(secret), secret);
  });
});
