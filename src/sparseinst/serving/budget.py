"""Memory for decoded pixels, which requests take before they decode and give back when nothing decodes any more."""

import asyncio


class Budget:
    """So many bytes at once; who comes first is served first.

    Args:
        limit: bytes; one who wants more than that gets it alone.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.taken = limit, 0
        self._turn, self._freed = asyncio.Lock(), asyncio.Event()

    async def take(self, amount: int) -> None:
        """Waits until there is room, and takes it; give it back."""
        async with self._turn:
            while self.taken and self.taken + amount > self.limit:
                self._freed.clear()
                await self._freed.wait()
            self.taken += amount

    def give(self, amount: int) -> None:
        """Gives back what was taken."""
        self.taken -= amount
        self._freed.set()
