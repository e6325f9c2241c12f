"""sb3-contrib's recurrent PPO on the two-armed bandit, alone in a process of its own: it may live in another
environment than aiga, so nothing of aiga is imported. Prints {"steps", "seconds"} of learning as JSON.

    python recurrent_rival.py '{"environments": 64, "pulls": 100, "units": 48, "epochs": 3, "minibatches": 4,
                                "updates": 4, "rate": 0.003}'
"""

import json
import sys
import time

import gymnasium
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from sb3_contrib import RecurrentPPO  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.callbacks import BaseCallback  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.vec_env import DummyVecEnv  # pyright: ignore[reportMissingImports]


class Arms(gymnasium.Env):
    """Two independent arms, told as `worlds/trial.py` tells them; new ones with every episode."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (5,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, pulls: int) -> None:
        self.pulls = pulls

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.chances, self.time = self.np_random.random(2), 0
        return np.zeros(5, np.float32), {}

    def step(self, action):
        self.time += 1
        reward = float(self.np_random.random() < self.chances[action])
        over = self.time >= self.pulls
        seen = np.array([self.time / self.pulls, action == 0, action == 1, reward, over], np.float32)
        return seen, reward, over, False, {}


class Clock(BaseCallback):
    """When the first update was over: what is only done once is not counted."""

    begun, already = 0.0, 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps and not self.begun:
            self.begun, self.already = time.perf_counter(), self.num_timesteps


def main(asked: dict) -> None:
    torch.set_num_threads(asked.get("threads", torch.get_num_threads()))
    count, pulls = asked["environments"], asked["pulls"]
    learner = RecurrentPPO(
        "MlpLstmPolicy",
        DummyVecEnv([lambda: Arms(pulls)] * count),
        n_steps=pulls,
        batch_size=count * pulls // asked["minibatches"],
        n_epochs=asked["epochs"],
        learning_rate=asked["rate"],
        seed=0,
        device="cpu",
        policy_kwargs={
            "lstm_hidden_size": asked["units"],
            "shared_lstm": True,
            "enable_critic_lstm": False,
            "net_arch": [],
        },
    )
    clock = Clock()
    learner.learn(count * pulls * (asked["updates"] + 1), callback=clock)
    done = learner.num_timesteps - clock.already
    print(json.dumps({"steps": done, "seconds": time.perf_counter() - clock.begun}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
