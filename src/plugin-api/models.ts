/** A model that clients can ask for. */
export interface ModelInfo {
  readonly id: string;
  /** Who serves it, for example `openai`; several deployments: the first one's. */
  readonly ownedBy: string;
  /** The providers of its deployments, each once: what stands before the slash in `litellm_params.model`. */
  readonly providers: readonly string[];
  /** How many deployments form the group. */
  readonly deployments: number;
}
