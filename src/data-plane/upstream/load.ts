/** How busy a deployment is. */
export interface Load {
  /** Attempts that still run. */
  inFlight: number;
}
