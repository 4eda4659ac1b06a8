/** Takes down what calls into plugins took of one request. */
export interface CostSheet {
  /** A call into a plugin has settled. Milliseconds. */
  charge(plugin: string, phase: string, ms: number): void;
}

/**
 * What a call into a plugin knows of the request that it is made for. A plugin can keep the asynchronous context of a
 * call for as long as it likes, with a timer or a connection that it opens there: nothing here keeps the request itself
 * alive.
 */
export class RequestScope {
  readonly id: string;
  /** `null`: nobody wants to know what the request costs. */
  readonly costs: CostSheet | null;

  constructor(id: string, costs: CostSheet | null = null) {
    this.id = id;
    this.costs = costs;
  }
}

/** The scope that a request carries; `null` before it has one. */
export function scopeOf(req: object): RequestScope | null {
  const { requestScope } = req as { readonly requestScope?: unknown };
  return requestScope instanceof RequestScope ? requestScope : null;
}
