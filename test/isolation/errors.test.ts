import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GatewayError, isGatewayError, PluginLoadError, SSRFBlockedError } from '../../src/errors.ts';
import { packError, parseError, unpackError } from '../../src/isolation/channel/errors.ts';

function crossed(thrown: unknown): Error & Record<string, unknown> {
  return unpackError(parseError(JSON.parse(JSON.stringify(packError(thrown))))) as Error &
    Record<string, unknown>;
}

test("an error of JavaScript's own is of its class again", () => {
  for (const Native of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]) {
    const error = crossed(new Native('x'));
    assert.deepEqual([error.constructor, error.name, error.message], [Native, Native.name, 'x']);
  }
  const own = crossed(Object.assign(new TypeError('x'), { name: 'AI_APICallError', statusCode: 500 }));
  assert.deepEqual([own.constructor, own.name, own.statusCode], [Error, 'AI_APICallError', 500]);
});

test('causes cross, up to a depth', () => {
  const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  const error = crossed(new TypeError('fetch failed', { cause }));
  assert.equal((error.cause as { code?: string }).code, 'ECONNREFUSED');
  const endless = new Error('endless');
  endless.cause = endless;
  let depth = 0;
  for (let at: unknown = crossed(endless); at instanceof Error; at = at.cause) depth++;
  assert.equal(depth, 5);
});

test("the gateway's errors keep code, name and all they say, and what lies behind them stays", () => {
  const refused = crossed(new SSRFBlockedError('address', 'refused', { cause: new Error('10.0.0.1') }));
  assert.ok(isGatewayError(refused));
  assert.deepEqual(
    [refused.code, refused.name, refused.reason, refused.cause],
    ['ssrf_blocked', 'SSRFBlockedError', 'address', undefined],
  );
  assert.equal(crossed(new PluginLoadError('not found')).name, 'PluginLoadError');
  const limited = crossed(
    new GatewayError('rate_limit_exceeded', 'later', { headers: { 'retry-after': '1' } }),
  );
  assert.deepEqual(limited.headers, { 'retry-after': '1' });
});

test("an error that borrows a code is none of the gateway's", () => {
  const borrowed = Object.assign(new Error('x'), { code: 'rate_limit_exceeded', status: 429, type: 'mine' });
  assert.equal(isGatewayError(crossed(borrowed)), false);
});

test('a bare object that answers keeps its message, and has none when it had none', () => {
  for (const [thrown, message] of [
    [{ status: 403, message: 'not you' }, 'not you'],
    [{ status: 403 }, ''],
    [{ message: 'no status' }, 'a value that is no Error was thrown: [object Object]'],
  ] as const)
    assert.equal(crossed(thrown).message, message);
});

test('whatever is thrown crosses, and whatever came is an error', () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true }), (thrown) => {
      assert.ok(crossed(thrown) instanceof Error);
    }),
  );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.ok(unpackError(parseError(value)) instanceof Error);
    }),
  );
});
