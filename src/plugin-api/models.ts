/** A model that clients can ask for. */
export interface ModelInfo {
  readonly id: string;
  /** Who serves it, for example `openai`; several deployments: the first one's. */
  readonly ownedBy: string;
  /** How many deployments form the group. */
  readonly deployments: number;
}
