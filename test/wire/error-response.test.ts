import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, GatewayError, toErrorBody } from '../../src/errors.ts';
import { toClientError } from '../../src/wire/error-response.ts';

test('an error of the gateway is answered as it is', () => {
  const error = new GatewayError('rate_limit_exceeded', 'slow down', { param: 'model' });
  assert.equal(toClientError(error), error);
});

test('an error of another copy of this package is answered as it is', () => {
  const { code, status, type } = new GatewayError('ssrf_blocked', 'no');
  const error = Object.assign(new Error('no'), { code, status, type });
  assert.equal(toClientError(error), error);
});

test('an error that only borrows a code of the table is answered by its status, in full', async (t) => {
  const cases: [string, object, number, string, ErrorCode][] = [
    ['status', { status: 429, code: 'rate_limit_exceeded' }, 429, 'rate_limit_error', 'rate_limit_exceeded'],
    [
      'statusCode',
      { statusCode: 401, code: 'authentication_error' },
      401,
      'authentication_error',
      'authentication_error',
    ],
    ['another status', { status: 403, code: 'not_found' }, 403, 'permission_error', 'permission_error'],
    ['no status', { code: 'not_found' }, 500, 'server_error', 'internal_error'],
    ['a name of Object', { status: 422, code: 'toString' }, 422, 'invalid_request_error', 'invalid_request'],
  ];
  for (const [name, fields, status, type, code] of cases) {
    await t.test(name, () => {
      const error = toClientError(Object.assign(new Error('no'), fields));
      const message = status === 500 ? 'Internal error' : 'no';
      assert.equal(error.status, status);
      assert.deepEqual(toErrorBody(error), { error: { message, type, param: null, code } });
    });
  }
});

test('an error that cannot be read is a bare 500', () => {
  const thrown = Object.defineProperty(new Error('no'), 'code', {
    get: () => {
      throw new Error('hostile');
    },
  });
  assert.equal(toClientError(thrown).code, 'internal_error');
});

test('an error that says it is not for clients keeps its message to itself', () => {
  const thrown = Object.assign(new Error('secret'), { status: 403, code: 'permission_error', expose: false });
  assert.doesNotMatch(toClientError(thrown).message, /secret/);
});
