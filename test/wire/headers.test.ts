import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { charset, connectionOptions, isJsonType, mediaType } from '../../src/wire/headers.ts';

describe('connectionOptions', () => {
  it('names what else than closing and keeping alive the connection is about', () => {
    assert.deepEqual(connectionOptions('keep-alive, X-Trace ,,close,TE'), new Set(['x-trace', 'te']));
    assert.deepEqual(connectionOptions(['a', 'b']), new Set(['a', 'b']));
  });

  it('is null when there is nothing else', () => {
    for (const value of [undefined, 'close', 'keep-alive', 'Keep-Alive, close', '']) {
      assert.equal(connectionOptions(value), null);
    }
  });
});

describe('mediaType', () => {
  it('is lower case and without parameters', () => {
    assert.equal(mediaType('Text/HTML ; charset=utf-8'), 'text/html');
    assert.equal(mediaType(['application/json', 'x']), 'application/json');
    assert.equal(mediaType(undefined), '');
  });
});

describe('isJsonType', () => {
  it('knows JSON and the types that are built on it', () => {
    assert.deepEqual(['application/json', 'application/x+json', 'text/json', ''].map(isJsonType), [
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('charset', () => {
  it('reads the parameter, quoted or not', () => {
    assert.equal(charset('application/json; a=b; Charset="UTF-8"'), 'utf-8');
    assert.equal(charset('application/json;charset=latin1;x=y'), 'latin1');
    assert.equal(charset('application/json'), null);
  });
});
